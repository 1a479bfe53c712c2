"""`manage.py rebuild_vectors`: make Milvus's content anew from the database and the files."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from searchapp.models import Dataset, Image
from searchapp.services import ingest, ledger


class Command(BaseCommand):
    help = (
        "Embed stored pictures again, for when Milvus has lost them. A picture that waits for its "
        "turn is not found by search."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dataset", help="the slug of one dataset; all of them without it")

    def handle(self, *args: Any, dataset: str | None, **options: Any) -> None:
        images = Image.objects.all()
        if dataset is not None:
            if not Dataset.objects.filter(slug=dataset).exists():
                raise CommandError(f"There is no dataset '{dataset}'.")
            images = images.filter(dataset__slug=dataset)
        number = ledger.embed_again(images)
        ingest.wake(number)
        self.stdout.write(f"{number} pictures wait to be embedded again.")
