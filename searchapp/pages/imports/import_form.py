"""A dataset's Import tab: files, folders and archives from the browser, and other sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from searchapp.infra.upload_handler import HashedUpload, HashingWriter
from searchapp.models import ENDED_JOBS, Dataset, ImportJob, OnDuplicate, SourceKind
from searchapp.pages.access import own_dataset
from searchapp.pages.responses import megabytes, render_error
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.imports import creation
from searchapp.services.imports.options import MAX_SIDE, MIN_SIDE, ImportOptions

# Sources other than the browser's files: kind of source, and the form field that names it.
PLACES = {
    SourceKind.FOLDER: "folder",
    SourceKind.MANIFEST: "manifest",
    SourceKind.BUCKET: "bucket",
    SourceKind.COCO: "coco",
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def begin(request: HttpRequest, slug: str) -> HttpResponse:
    """The import form; POST starts a job and redirects to it.

    For scripts that accept JSON, POST returns a new open job, to which they upload files.
    """
    dataset = own_dataset(request.user, slug)
    if request.method != "POST":
        return render(request, "imports/new.html", _context(request, dataset))
    wants_json = request.headers.get("Accept") == "application/json"
    try:
        options = options_of(request)
        job = (
            _open(request, dataset, options, request.POST.get("name", ""))
            if wants_json
            else _begin(request, dataset, options)
        )
    except ServiceError as error:
        if wants_json:
            problem = {"code": error.code, "detail": error.detail}
            return JsonResponse(problem, status=error.status)
        context = _context(request, dataset) | {"given": request.POST}
        return render_error(request, "imports/new.html", context, error)
    if wants_json:
        return JsonResponse({"job": str(job.pk), "page": job.get_absolute_url()}, status=201)
    return redirect("job", job.pk)


def options_of(request: HttpRequest) -> ImportOptions:
    """Return the options of the form. Raises `Invalid`, code `invalid_options`, when one is bad."""
    form = request.POST
    options: dict[str, Any] = {
        name: form[name] for name in ("label", "tags", "on_duplicate", "keep") if form.get(name)
    }
    if form.get("max_side", "").strip():
        options["max_side"] = form["max_side"].strip()
    if form.get("metadata", "").strip():
        try:
            options["metadata"] = json.loads(form["metadata"])
        except (ValueError, RecursionError):
            raise Invalid(
                "invalid_options", 'The metadata must be a JSON object, such as {"year": 1969}.'
            ) from None
    for name in ("dry_run", "label_from_folder"):
        options[name] = bool(form.get(name))
    return ImportOptions.from_dict(options)


def _open(request: HttpRequest, dataset: Dataset, options: ImportOptions, name: str) -> ImportJob:
    return creation.create(
        dataset,
        user=request.user,
        kind=SourceKind.UPLOAD,
        name=name[:255],
        options=options,
        is_open=True,
    )


def _begin(request: HttpRequest, dataset: Dataset, options: ImportOptions) -> ImportJob:
    files = [file for file in request.FILES.getlist("file") if isinstance(file, HashedUpload)]
    addresses = request.POST.get("addresses", "").strip()
    if files:
        return _take(request, dataset, options, [(file.name or "", file) for file in files])
    if addresses:
        return _take(request, dataset, options, [("addresses.csv", _manifest(addresses))])
    for kind, field in PLACES.items():
        location = request.POST.get(field, "").strip()
        if location:
            return creation.create(
                dataset, user=request.user, kind=kind, location=location, options=options
            )
    raise Invalid("no_file", "Choose one picture or more first.")


def _take(
    request: HttpRequest,
    dataset: Dataset,
    options: ImportOptions,
    files: list[tuple[str, HashedUpload]],
) -> ImportJob:
    name = files[0][0] if len(files) == 1 else f"{len(files)} files"
    job = _open(request, dataset, options, name)
    try:
        for name, file in files:
            creation.add_upload(job, file, name=name)
    finally:
        for _, file in files:
            file.close()
        creation.close(job)
    return job


def _manifest(text: str) -> HashedUpload:
    """Return the pasted text as a file: a table, or one URL per line."""
    if text.lower().startswith(("http://", "https://")):
        lines = (line.strip() for line in text.splitlines())
        text = "\n".join(["url", *(f'"{line}"' for line in lines if line)])
    writer = HashingWriter()
    writer.write(text.encode("utf-8", "replace"))
    return writer.finish("addresses.csv")


@dataclass(frozen=True)
class _Choice:
    value: str
    word: str
    more: str


def _context(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    choices = []
    for value, words in OnDuplicate.choices:
        word, _, more = str(words).partition(": ")
        choices.append(_Choice(str(value), word, more))
    return {
        "dataset": dataset,
        "may_edit": True,
        "may_manage": dataset.may_manage(request.user),
        "given": {"on_duplicate": OnDuplicate.SKIP.value, "keep": "original"},
        "duplicates": choices,
        "roots": [str(root) for root in settings.IMPORT_ROOTS],
        "smallest_side": MIN_SIDE,
        "largest_side": MAX_SIDE,
        **dropping(request, dataset),
    }


def dropping(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    """Return the context of `imports/_drop.html`."""
    unfinished = (
        ImportJob.objects.filter(
            dataset=dataset, user=request.user.pk, kind=SourceKind.UPLOAD, is_open=True
        )
        .exclude(state__in=ENDED_JOBS)
        .order_by("-created")
        .first()
    )
    return {
        "unfinished": unfinished,
        "uploads": reverse("api-uploads"),
        "largest": settings.MAX_UPLOAD_BYTES,
        "largest_picture": megabytes(settings.MAX_UPLOAD_BYTES),
        "largest_archive": megabytes(settings.MAX_ARCHIVE_BYTES),
        "most_files": settings.MAX_FILES,
    }
