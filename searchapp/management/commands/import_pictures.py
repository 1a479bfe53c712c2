"""`manage.py import_pictures DATASET SOURCE`: import images and show the progress."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, CommandParser

from searchapp.infra import import_roots
from searchapp.infra.upload_handler import HashedUpload, temporary_file
from searchapp.management.import_progress import follow
from searchapp.models import Dataset, ImportJob, JobState, OnDuplicate, SourceKind
from searchapp.services.errors import ServiceError
from searchapp.services.imports import creation
from searchapp.services.imports.detection import kind_of
from searchapp.services.imports.options import ORIGINAL, REFERENCE, ImportOptions


class Command(BaseCommand):
    help = (
        "Import pictures into a dataset from a folder, an archive, a manifest, a COCO file, one "
        "picture, or a prefix of a bucket. Progress goes to stderr; exit code 1 when a file could "
        "not be taken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset", help="the slug of the dataset")
        parser.add_argument("source", help="a path of this machine, or s3://bucket/prefix/")
        parser.add_argument("--user", help="in whose name; the dataset's owner without it")
        parser.add_argument("--name", default="", help="what the import is called")
        parser.add_argument("--label", help="the label of all pictures")
        parser.add_argument("--tag", action="append", help="a tag of all pictures; repeatable")
        parser.add_argument("--metadata", help="a JSON object, for all pictures")
        parser.add_argument("--on-duplicate", choices=OnDuplicate.values)
        parser.add_argument("--max-side", type=int, help="store larger pictures smaller (pixels)")
        parser.add_argument("--keep", choices=[ORIGINAL, REFERENCE])
        parser.add_argument(
            "--label-from-folder", action="store_true", help="a folder's name is the label"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument("--no-wait", action="store_true", help="do not follow the progress")

    def handle(self, *args: Any, dataset: str, source: str, **options: Any) -> None:
        into = Dataset.objects.filter(slug=dataset, deleted=None).first()
        if into is None:
            raise CommandError(f"There is no dataset '{dataset}'.")
        user = into.owner
        if options["user"]:
            named = get_user_model().objects.filter(username=options["user"]).first()
            if named is None or not into.may_edit(named):
                raise CommandError(f"'{options['user']}' may not add pictures to '{dataset}'.")
            user = named
        try:
            import_options = ImportOptions.from_dict(_options(options))
            job = _begin(into, user, source, options["name"], import_options)
        except ServiceError as error:
            raise CommandError(error.detail) from None
        self.stdout.write(str(job.pk))
        if options["no_wait"]:
            return
        try:
            job = follow(job, self.stderr.write)
        except KeyboardInterrupt:
            self.stderr.write(f"The import goes on; see manage.py jobs show {job.pk}")
            return
        if job.state != JobState.FINISHED:
            raise CommandError(
                f"The import is {job.get_state_display()}. {job.error_detail}".strip()
                + f" See manage.py jobs ledger {job.pk}"
            )


def _options(arguments: dict[str, Any]) -> dict[str, Any]:
    names = ("label", "on_duplicate", "max_side", "keep", "label_from_folder", "dry_run")
    fields = {name: arguments[name] for name in names if arguments[name] is not None}
    if arguments["tag"]:
        fields["tags"] = arguments["tag"]
    if arguments["metadata"] is not None:
        try:
            fields["metadata"] = json.loads(arguments["metadata"])
        except (ValueError, RecursionError):
            raise CommandError("--metadata is a JSON object, such as '{\"year\": 1969}'.") from None
    return fields


def _begin(
    dataset: Dataset, user: Any, source: str, name: str, options: ImportOptions
) -> ImportJob:
    if "://" in source:
        return creation.create(
            dataset, user=user, kind=SourceKind.BUCKET, name=name, location=source, options=options
        )
    path = Path(source).absolute()
    if not path.exists():
        raise CommandError(f"There is no file or folder {source}.")
    kind = SourceKind.FOLDER if path.is_dir() else kind_of(path)
    if kind is not None and (kind == SourceKind.FOLDER or _is_inside(path)):
        return creation.create(
            dataset, user=user, kind=kind, name=name, location=str(path), options=options
        )
    # The user of this command may read the file, so it is uploaded, as by a browser.
    job = creation.create(
        dataset,
        user=user,
        kind=SourceKind.UPLOAD,
        name=name or path.name,
        options=options,
        is_open=True,
    )
    try:
        with _whole(path) as upload:
            creation.add_upload(job, upload, name=path.name)
    finally:
        creation.close(job)
    return job


def _is_inside(path: Path) -> bool:
    try:
        import_roots.inside(path)
    except ServiceError:
        return False
    return True


def _whole(path: Path) -> HashedUpload:
    """Return a copy of a file, without a size limit."""
    copy = temporary_file()
    with path.open("rb") as file:
        shutil.copyfileobj(file, copy, 1 << 20)
        size = file.tell()
    copy.flush()
    copy.seek(0)
    digest = hashlib.file_digest(copy, "sha256").hexdigest()  # type: ignore[arg-type]
    copy.seek(0)
    return HashedUpload(copy, path.name, size, digest)
