"""The gallery of a dataset's images."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from searchapp.models import PENDING_STATES, Dataset, ImageState
from searchapp.pages.access import visible_dataset
from searchapp.pages.imports.import_form import dropping
from searchapp.pages.pagination import key_of, page_of
from searchapp.pages.responses import count, fragment_of, is_fragment
from searchapp.services.datasets.dataset_service import counts
from searchapp.services.images.selection import of_filter
from searchapp.services.imports import image_fields

PAGE = 60
# The states that editors can list besides `ready`.
STATES = ("waiting", "rejected", "failed", "deleted")
# A selector is of no use with more datasets than this; the API lists all.
MAX_TARGETS = 200


@require_safe
def gallery(request: HttpRequest, slug: str) -> HttpResponse:
    """Images, newest first; `?before=ID` starts below that one, `?label=` filters by a label."""
    dataset = visible_dataset(request.user, slug)
    may_edit = dataset.may_edit(request.user)
    state = request.GET.get("state", "")
    state = state if may_edit and state in STATES else ""
    label = request.GET.get("label", "")[: image_fields.LABEL_LENGTH]
    before = key_of(request.GET.get("before"))
    images = of_filter(state or "ready", label).images(dataset)
    chosen = {"state": state, "label": label}
    context = {
        "dataset": dataset,
        "page": page_of(images, before, PAGE),
        "state": state,
        "label": label,
        "may_edit": may_edit,
        "filter": urlencode({name: value for name, value in chosen.items() if value}),
    }
    if is_fragment(request):
        return fragment_of(render(request, "datasets/_pictures.html", context))
    context |= {
        "before": before,
        "may_manage": dataset.may_manage(request.user),
        "may_leave": dataset.memberships.filter(user_id=request.user.pk or 0).exists(),
        **_header(dataset, may_edit),
    }
    if may_edit:
        context |= dropping(request, dataset)
        context["targets"] = list(
            Dataset.objects.editable_by(request.user)
            .exclude(pk=dataset.pk)
            .order_by("name")
            .values_list("slug", "name")[:MAX_TARGETS]
        )
    return render(request, "datasets/gallery.html", context)


def _header(dataset: Dataset, may_edit: bool) -> dict[str, object]:
    number = counts(dataset)
    waiting = sum(number[state] for state in PENDING_STATES)
    context: dict[str, object] = {
        "may_edit": may_edit,
        "pictures": count(number["ready"], "picture", "pictures"),
        "waiting": count(waiting, "picture is", "pictures are") if waiting else "",
        "is_empty": number["ready"] == 0,
    }
    if may_edit:
        context["tabs"] = [
            (name, total)
            for name, total in (
                ("waiting", waiting),
                ("rejected", number["rejected"]),
                ("failed", number["failed"]),
                ("deleted", dataset.images.filter(state=ImageState.DELETED).count()),
            )
            if total
        ]
    return context
