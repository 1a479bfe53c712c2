"""Bulk actions on the images of a gallery, and undoing them."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from searchapp.models import Dataset, Image
from searchapp.pages.access import find_dataset, own_dataset, visible_dataset
from searchapp.pages.responses import count
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.images import bulk_actions as service
from searchapp.services.images import image_edits
from searchapp.services.images.bulk_actions import Action, Outcome
from searchapp.services.images.selection import Selection, of_filter, of_keys
from searchapp.services.moments import parse_moment

_DONE = {
    Action.DELETE: "{0} deleted.",
    Action.RESTORE: "{0} back. A worker makes them searchable again.",
    Action.LABEL: "{0} labelled.",
    Action.TAGS: "{0} tagged anew.",
    Action.UNDO: "{0} as before.",
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def bulk(request: HttpRequest, slug: str) -> HttpResponse:
    """Carry out one action on the selected images; redirects to the gallery or to the job."""
    dataset = visible_dataset(request.user, slug)
    if request.method != "POST" or not request.user.is_authenticated:
        return redirect(dataset)
    action = request.POST.get("action", "")
    if action != Action.COPY:
        dataset = own_dataset(request.user, slug)
    try:
        selection = _selection(request.POST)
        if action in (Action.COPY, Action.MOVE):
            target = _target(request)
            outcome = service.copy(
                dataset, selection, target, user=request.user, move=action == Action.MOVE
            )
        else:
            change = service.change_of(
                action,
                label=request.POST.get("label", ""),
                add=request.POST.get("add", ""),
                remove=request.POST.get("remove", ""),
            )
            outcome = service.carry_out(dataset, selection, change, user=request.user)
    except ServiceError as error:
        messages.error(request, error.detail)
        return redirect(_back(dataset, request.POST))
    if outcome.job is not None:
        return redirect("job", outcome.job.pk)
    _say(request, dataset, Action(action), outcome)
    return redirect(_back(dataset, request.POST))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HttpRequest, slug: str) -> HttpResponse:
    """Restore the images that were deleted at the time `?at=`, or undo the edit `?edit=`."""
    dataset = own_dataset(request.user, slug)
    moment = parse_moment(request.GET.get("at", ""))
    edit = _uuid(request.GET.get("edit", ""))
    if request.method != "POST" or not request.user.is_authenticated:
        return redirect(dataset)
    place: Dataset | Image = dataset
    try:
        if edit is not None:
            place = image_edits.only_image(dataset, edit) or dataset
            outcome = service.undo_edit(dataset, edit, user=request.user)
        elif moment is not None:
            outcome = service.undo_deletion(dataset, moment, user=request.user)
        else:
            raise BadRequest("There is no such moment or edit.")
    except ServiceError as error:
        messages.error(request, error.detail)
        return redirect(place)
    if outcome.job is not None:
        return redirect("job", outcome.job.pk)
    if outcome.number:
        _say(request, dataset, Action.RESTORE if edit is None else Action.UNDO, outcome)
    elif edit is None:
        messages.error(request, "There is nothing left to bring back.")
    else:
        messages.error(request, "These pictures were changed again since: nothing is undone.")
    return redirect(place)


def undo_address(dataset: Dataset, moment: datetime | str = "", *, edit: str = "") -> str:
    """Return the URL of a form that restores what was deleted at a time, or undoes an edit."""
    at = moment if isinstance(moment, str) else moment.isoformat()
    params = {"edit": edit} if edit else {"at": at}
    return f"{reverse('dataset-undo', args=[dataset.slug])}?{urlencode(params)}"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _say(request: HttpRequest, dataset: Dataset, action: Action, outcome: Outcome) -> None:
    sentence = _DONE[action].format(count(outcome.number, "picture is", "pictures are"))
    undoable = outcome.number and (outcome.moment or outcome.edit)
    address = undo_address(dataset, outcome.moment, edit=outcome.edit) if undoable else ""
    messages.success(request, sentence, extra_tags=address)


def _selection(sent: QueryDict) -> Selection:
    if sent.get("all"):
        # The gallery names its state; without one, it shows what is ready.
        return of_filter(sent.get("state") or "ready", sent.get("of_label", ""))
    # Ticked boxes, and with JavaScript a list of those ticked on earlier pages.
    words = [word for value in sent.getlist("image") for word in re.split(r"[,\s]+", value)]
    return of_keys(
        int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 20
    )


def _target(request: HttpRequest) -> Dataset:
    slug = request.POST.get("target", "")
    if not slug:
        raise Invalid("no_target", "Choose the dataset that the pictures go into.")
    dataset = find_dataset(request.user, slug)
    if not dataset.may_edit(request.user):
        raise Invalid("no_target", "You may look at that dataset, but not change its pictures.")
    return dataset


def _back(dataset: Dataset, sent: QueryDict) -> str:
    params = {"state": sent.get("state", ""), "label": sent.get("of_label", "")}
    shown = {name: value for name, value in params.items() if value}
    address = dataset.get_absolute_url()
    return f"{address}?{urlencode(shown)}" if shown else address
