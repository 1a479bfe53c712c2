"""`manage.py create_api_key NAME --user U --scope read|write|admin`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError

from searchapp.models import ApiKey, Scope


class Command(BaseCommand):
    help = "Create an API key and print it, once: only its hash is stored."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the key is for")
        parser.add_argument("--user", required=True, help="the user that it acts for")
        parser.add_argument("--scope", choices=Scope.values, default=Scope.READ.value)

    def handle(self, *args: Any, name: str, user: str, scope: str, **options: Any) -> None:
        try:
            account = get_user_model().objects.filter(username=user).first()
        except (OperationalError, ProgrammingError):
            raise CommandError(
                "The database has no tables yet: start Lookalike once, or run manage.py migrate."
            ) from None
        if account is None:
            raise CommandError(f"There is no user '{user}'.")
        _, key = ApiKey.issue(name=name, user_id=account.pk, scope=scope)
        self.stdout.write(key)
