"""`manage.py load_demo`: load the demo gallery, in installations not started by `serve`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, CommandParser

from searchapp.services.datasets import demo_gallery


class Command(BaseCommand):
    help = "Take in the demo gallery as the public dataset 'demo', unless it is there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, help="who will own the dataset")

    def handle(self, *args: Any, user: str, **options: Any) -> None:
        owner = get_user_model().objects.filter(username=user).first()
        if owner is None:
            raise CommandError(f"There is no user '{user}'.")
        self.stdout.write(f"{demo_gallery.load(owner)} pictures were taken in; workers index them.")
