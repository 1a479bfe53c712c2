"""The page of one image: detail, editing, deleting."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.infra.originals import web_address
from searchapp.models import PENDING_STATES, Image, ImageState
from searchapp.pages.access import own_image, visible_image
from searchapp.pages.forms import ImageForm
from searchapp.pages.images.bulk_actions import undo_address
from searchapp.pages.images.media import SAFE_TYPES
from searchapp.pages.responses import megabytes
from searchapp.services.images import image_edits
from searchapp.services.images.image_deletion import delete_image

# Bytes; of a larger original, the page shows the thumbnail and a link.
SHOWN_WHOLE = 3_000_000


@dataclass(frozen=True)
class Fact:
    name: str
    value: str
    is_link: bool = False


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    image = visible_image(request.user, pk)
    context = _context(request, image, ImageForm(instance=image))
    return render(request, "images/detail.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    image = own_image(request.user, pk)
    if request.method != "POST":  # the redirect after signing in again is a GET
        return redirect(image)
    form = ImageForm(request.POST, instance=image)
    if form.is_valid():
        data = form.cleaned_data  # a worker may be writing the other columns of this row
        changes = {"title": data["title"], "label": data["label"].strip(), "tags": data["words"]}
        edit = image_edits.edit_image(image, changes)
        address = undo_address(image.dataset, edit=edit) if edit else ""
        messages.success(request, "Title, label and tags are saved.", extra_tags=address)
        return redirect(image)
    stored = own_image(request.user, pk)
    return render(request, "images/detail.html", _context(request, stored, form), status=400)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    image = own_image(request.user, pk)
    if request.method == "POST":
        moment = timezone.now()
        delete_image(image, moment)
        messages.success(
            request,
            f"‘{image.caption}’ is deleted.",
            extra_tags=undo_address(image.dataset, moment),
        )
        return redirect(image.dataset)
    return render(request, "images/delete.html", {"image": image})


def _context(request: HttpRequest, image: Image, form: ImageForm) -> dict[str, object]:
    return {
        "image": image,
        "form": form,
        "may_edit": image.dataset.may_edit(request.user),
        "is_ready": image.state == ImageState.READY,
        "is_waiting": image.state in PENDING_STATES,
        "show_original": image.format.upper() in SAFE_TYPES
        and image.bytes <= SHOWN_WHOLE
        and web_address(image) is None,  # which no browser visits unasked
        "size": megabytes(image.bytes),
        "metadata": _metadata(image),
    }


def _metadata(image: Image) -> list[Fact]:
    if not isinstance(image.metadata, dict):
        return []
    facts = []
    for name, value in image.metadata.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        facts.append(Fact(str(name), text, text.startswith(("https://", "http://"))))
    return facts
