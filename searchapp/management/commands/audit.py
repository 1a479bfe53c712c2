"""`manage.py audit`: check whether database, files and vectors agree, and repair differences."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from searchapp.models import AuditReport, Dataset
from searchapp.services import audit


class Command(BaseCommand):
    help = (
        "Compare database, files and vectors. Ends with a line of counts; the exit status is 1 "
        "when something is left that was not repaired, or could not be looked at."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deep", action="store_true", help="read every original, too")
        parser.add_argument("--repair", action="store_true", help="mend what can be mended")
        parser.add_argument("--dataset", help="the slug of one dataset; all of them without it")

    def handle(
        self, *args: Any, deep: bool, repair: bool, dataset: str | None, **options: Any
    ) -> None:
        chosen = None
        if dataset is not None:
            chosen = Dataset.objects.filter(slug=dataset, deleted=None).first()
            if chosen is None:
                raise CommandError(f"There is no dataset '{dataset}'.")
        report = audit.run(audit.start(deep=deep, repair=repair, dataset=chosen, here=True))
        self._tell(report)
        if report.left or report.error_detail:
            sys.exit(1)

    def _tell(self, report: AuditReport) -> None:
        for finding in report.findings:
            where = f" [{finding['dataset']}]" if finding["dataset"] else ""
            mended = " (repaired)" if finding["repaired"] else ""
            self.stdout.write(
                f"{finding['kind']}: {finding['subject']}{where}: {finding['detail']}{mended}"
            )
        for kind, counts in report.counts.items():
            listed_count = sum(1 for one in report.findings if one["kind"] == kind)
            if counts["found"] > listed_count:
                self.stdout.write(f"{kind}: and {counts['found'] - listed_count} more")
            check = audit.BY_KIND[kind]
            if counts["found"] > counts["repaired"] and check.advice:
                self.stdout.write(f"{kind}: {check.advice}")
        if report.error_detail:
            self.stdout.write(report.error_detail)
        total = sum(counts["found"] for counts in report.counts.values())
        looked = ", ".join(
            f"{number} {audit.BY_KIND[kind].counted} ({kind})"
            for kind, number in report.checked.items()
            if number
        )
        self.stdout.write(
            f"{total} found, {total - report.left} repaired, {report.left} left; "
            f"looked at {looked or 'nothing'}."
        )
