"""`manage.py jobs [list|show|pause|resume|cancel|retry|ledger]`: manage import jobs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management import BaseCommand, CommandError, CommandParser

from searchapp.management.import_progress import in_words
from searchapp.models import ImportJob
from searchapp.services.errors import ServiceError
from searchapp.services.imports import control, ledger_report
from searchapp.services.imports.job_progress import progress, progress_of

_ACTIONS = {"pause": control.pause, "resume": control.resume, "cancel": control.cancel}


class Command(BaseCommand):
    help = "List imports, look at one, pause, resume or cancel it, try again what failed."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = ["list", "show", *_ACTIONS, "retry", "ledger"]
        parser.add_argument("action", nargs="?", default="list", choices=actions)
        parser.add_argument("job", nargs="?", help="the id of an import; not with list")
        parser.add_argument("--dataset", help="with list: only imports into this one")
        parser.add_argument("--limit", type=int, default=20, help="with list: how many")

    def handle(self, *args: Any, action: str, job: str | None, **options: Any) -> None:
        if action == "list":
            self._list(options["dataset"], max(0, options["limit"]))
            return
        import_job = _job(job)
        if action == "ledger":
            for piece in ledger_report.ledger_csv(import_job):
                self.stdout.write(piece, ending="")
            return
        try:
            if action == "retry":
                number = control.retry_failed(import_job)
                self.stdout.write(f"{number} files are tried again.")
            elif action in _ACTIONS:
                _ACTIONS[action](import_job)
        except ServiceError as error:
            raise CommandError(error.detail) from None
        import_job.refresh_from_db()
        self.stdout.write(f"{import_job.get_state_display()}: {in_words(progress(import_job))}")
        if import_job.error_detail:
            self.stdout.write(import_job.error_detail)

    def _list(self, dataset: str | None, limit: int) -> None:
        jobs = ImportJob.objects.select_related("dataset")
        if dataset is not None:
            jobs = jobs.filter(dataset__slug=dataset)
        rows = list(jobs[:limit])
        numbers = progress_of(rows)
        for row in rows:
            begun, name = f"{row.created:%Y-%m-%d %H:%M}", row.name or row.kind
            self.stdout.write(
                f"{row.pk}  {begun}  {row.dataset.slug}  {name}  "
                f"{row.get_state_display()}: {in_words(numbers[row.pk])}"
            )
        if not rows:
            self.stdout.write("There are no imports yet.")


def _job(text: str | None) -> ImportJob:
    try:
        return ImportJob.objects.select_related("dataset").get(pk=UUID(text or ""))
    except (ValueError, ImportJob.DoesNotExist):
        raise CommandError(
            f"There is no import '{text or ''}'; manage.py jobs lists them."
        ) from None
