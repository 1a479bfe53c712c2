"""A dataset's pictures."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from searchapp.models import PENDING_STATES, Dataset, Image, ImageState
from searchapp.pages.access import visible_dataset
from searchapp.pages.imports import dropping
from searchapp.pages.paging import key_of, page_of
from searchapp.pages.responses import count, fragment_of, is_fragment
from searchapp.services.datasets import counts

PAGE = 60
# What owners can look at besides what is ready.
STATES = {
    "waiting": list(PENDING_STATES),
    "rejected": [ImageState.REJECTED],
    "failed": [ImageState.FAILED],
}


@require_safe
def gallery(request: HttpRequest, slug: str) -> HttpResponse:
    """Pictures, newest first; `?before=ID` begins below that one."""
    dataset = visible_dataset(request.user, slug)
    may_edit = dataset.may_edit(request.user)
    state = request.GET.get("state", "")
    states = STATES.get(state) if may_edit else None
    before = key_of(request.GET.get("before"))
    images = Image.objects.filter(dataset=dataset, state__in=states or [ImageState.READY])
    context = {
        "dataset": dataset,
        "page": page_of(images, before, PAGE),
        "state": state if states else "",
    }
    if is_fragment(request):
        return fragment_of(render(request, "datasets/_pictures.html", context))
    context |= {
        "before": before,
        "may_manage": dataset.may_manage(request.user),
        **_header(dataset, may_edit),
    }
    if may_edit:
        context |= dropping(request, dataset)
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
            )
            if total
        ]
    return context
