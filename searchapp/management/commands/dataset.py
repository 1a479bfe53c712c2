"""`manage.py dataset list|create|copy|delete|restore|member …`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management import BaseCommand, CommandError, CommandParser

from searchapp.models import Dataset, Role, Visibility
from searchapp.services.datasets import dataset_deletion, dataset_service, members
from searchapp.services.errors import ServiceError
from searchapp.services.images import bulk_actions
from searchapp.services.images.image_deletion import still_kept


class Command(BaseCommand):
    help = "List, make, copy and delete datasets, bring them back, and manage their members."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="all datasets, with numbers of pictures")
        listing.add_argument("--deleted", action="store_true", help="those that can come back")
        create = verbs.add_parser("create", help="make a dataset; prints its slug")
        create.add_argument("name")
        create.add_argument("--user", required=True, help="whom it belongs to")
        create.add_argument("--slug", default="")
        create.add_argument("--description", default="")
        create.add_argument("--visibility", choices=Visibility.values, default=Visibility.PRIVATE)
        copy = verbs.add_parser("copy", help="copy a dataset into a new one; prints slug and job")
        copy.add_argument("slug")
        copy.add_argument("name")
        copy.add_argument("--user", required=True, help="whom the copy belongs to")
        delete = verbs.add_parser("delete", help="delete a dataset; for a day it can come back")
        delete.add_argument("slug")
        delete.add_argument(
            "--pictures", type=int, required=True, help="how many pictures go with it, to be sure"
        )
        restore = verbs.add_parser("restore", help="bring a deleted dataset back")
        restore.add_argument("slug", help="the slug that it had")
        member = verbs.add_parser("member", help="show, put in or take out members")
        member.add_argument("slug")
        member.add_argument("username", nargs="?")
        what = member.add_mutually_exclusive_group()
        what.add_argument("--role", choices=Role.values)
        what.add_argument("--remove", action="store_true")
        what.add_argument("--transfer", action="store_true", help="the dataset belongs to them now")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb}")(options)
        except ServiceError as error:
            raise CommandError(error.detail) from None

    def _list(self, options: dict[str, Any]) -> None:
        if options["deleted"]:
            for row in Dataset.objects.filter(deleted__gte=still_kept()).order_by("-deleted"):
                self.stdout.write(f"{row.slug_before}\t{row.deleted:%Y-%m-%d %H:%M}\t{row.name}")
            return
        rows = list(Dataset.objects.filter(deleted=None).select_related("owner"))
        numbers = dataset_service.counts_of(rows)
        for row in rows:
            number = numbers[row.pk]
            self.stdout.write(
                f"{row.slug}\t{number['ready']} of {number['total']} ready\t{row.visibility}\t"
                f"{row.owner.get_username()}\t{row.name}"
            )

    def _create(self, options: dict[str, Any]) -> None:
        dataset = dataset_service.create_dataset(
            name=options["name"],
            owner=_user(options["user"]),
            slug=options["slug"],
            description=options["description"],
            visibility=options["visibility"],
        )
        self.stdout.write(dataset.slug)

    def _copy(self, options: dict[str, Any]) -> None:
        dataset, job = bulk_actions.copy_dataset(
            _dataset(options["slug"]), name=options["name"], user=_user(options["user"])
        )
        self.stdout.write(f"{dataset.slug}\t{job.pk}")

    def _delete(self, options: dict[str, Any]) -> None:
        dataset = _dataset(options["slug"])
        dataset_deletion.check_number(dataset, options["pictures"])
        dataset_deletion.delete_dataset(dataset)
        self.stdout.write(f"‘{dataset.name}’ is deleted; for a day `dataset restore` undoes that.")

    def _restore(self, options: dict[str, Any]) -> None:
        gone = Dataset.objects.filter(slug_before=options["slug"]).exclude(deleted=None)
        dataset = gone.order_by("-deleted").first()
        if dataset is None:
            raise CommandError(
                f"There is no deleted dataset that had the slug '{options['slug']}'."
            )
        self.stdout.write(dataset_deletion.restore_dataset(dataset).slug)

    def _member(self, options: dict[str, Any]) -> None:
        dataset, username = _dataset(options["slug"]), options["username"]
        if username is None:
            if options["role"] or options["remove"] or options["transfer"]:
                raise CommandError("Name the member, too.")
        elif options["remove"]:
            members.remove(dataset, username)
        elif options["transfer"]:
            members.transfer(dataset, username)
        else:
            members.put(dataset, username, options["role"] or Role.VIEWER)
        for member in members.members_of(dataset):
            holder = "\tbelongs to them" if member.is_holder else ""
            self.stdout.write(f"{member.username}\t{member.role}{holder}")


def _user(username: str) -> User:
    account = get_user_model().objects.filter(username=username).first()
    if account is None:
        raise CommandError(f"There is no user '{username}'.")
    return account


def _dataset(slug: str) -> Dataset:
    dataset = Dataset.objects.filter(deleted=None).named(slug)
    if dataset is None:
        raise CommandError(f"There is no dataset '{slug}'.")
    return dataset
