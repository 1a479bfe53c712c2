"""A dataset's Index tab: its indexes with live progress, actions on them, comparison of two."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.models import Dataset, Image, ImageState, Index, IndexState
from searchapp.pages.access import managed_dataset, own_dataset
from searchapp.pages.pagination import key_of
from searchapp.pages.responses import duration, fragment_of, is_fragment, render_error
from searchapp.services import calibration
from searchapp.services.calibration import Plot
from searchapp.services.errors import ServiceError
from searchapp.services.indexes import build, comparison, lifecycle, pipelines
from searchapp.services.indexes.build import BuildProgress

_COMPARABLE = (IndexState.READY, IndexState.ACTIVE)
MAX_LISTED = 50


@dataclass(frozen=True)
class IndexRow:
    index: Index
    progress: BuildProgress
    sentence: str
    compared_with: int | None  # the index to compare it with
    plot: Plot | None  # of its score calibration, once that has been measured

    @property
    def percent(self) -> str:
        total = self.progress.total
        return f"{100 * self.progress.done // total} %" if total else "0 %"

    @property
    def rate(self) -> str:
        rate = self.progress.rate
        return "" if rate is None or not self.progress.workers else f"{rate:,.0f} pictures a second"

    @property
    def left(self) -> str:
        seconds = self.progress.seconds_left
        return "" if seconds is None else f"about {duration(seconds)} left"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def index_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The dataset's indexes; POST creates one."""
    dataset = own_dataset(request.user, slug)
    if request.method == "POST":
        managed_dataset(request.user, slug)
        try:
            lifecycle.create_index(dataset, request.POST.get("pipeline", ""))
        except ServiceError as error:
            context = _context(request, dataset)
            context["chosen"] = request.POST.get("pipeline", "")
            return render_error(request, "indexes/list.html", context, error)
        messages.success(request, "The index is being built. Search goes on with the active one.")
        return redirect("dataset-indexes", slug)
    context = _context(request, dataset)
    if is_fragment(request):
        rows = fragment_of(render(request, "indexes/_rows.html", context))
        if not context["live"]:
            rows["HX-Refresh"] = "true"  # actions have changed elsewhere on the page, too
        return rows
    return render(request, "indexes/list.html", context)


def _context(request: HttpRequest, dataset: Dataset) -> dict[str, object]:
    indexes = list(dataset.indexes.order_by("-pk")[:MAX_LISTED])
    progress = build.progress_of(indexes)
    plots = calibration.plots_of(indexes)
    active = next((index for index in indexes if index.state == IndexState.ACTIVE), None)
    target = lifecycle.rollback_target(dataset)
    rows = [
        IndexRow(
            index,
            progress[index.pk],
            pipelines.sentence_of(index.pipeline),
            active.pk if active is not None and index.state == IndexState.READY else None,
            plots.get(index.pk) if index.state in _COMPARABLE else None,
        )
        for index in sorted(
            indexes, key=lambda index: (_ORDER.index(IndexState(index.state)), -index.pk)
        )
    ]
    fingerprints = {
        index.fingerprint for index in indexes if index.state in (*_COMPARABLE, IndexState.BUILDING)
    }
    return {
        "dataset": dataset,
        "rows": rows,
        "rollback": target.pk if target is not None else None,
        "live": any(row.index.state == IndexState.BUILDING or row.progress.owed for row in rows),
        "building": any(row.index.state == IndexState.BUILDING for row in rows),
        "choices": (
            []
            if is_fragment(request)
            else [one for one in pipelines.available() if one.fingerprint not in fingerprints]
        ),
        "may_edit": True,
        "may_manage": dataset.may_manage(request.user),
    }


_ORDER = [
    IndexState.ACTIVE,
    IndexState.BUILDING,
    IndexState.READY,
    IndexState.FAILED,
    IndexState.RETIRED,
]
# What an owner can do with an index; the service refuses what its state does not allow.
ACTIONS = {"activate": lifecycle.activate, "retire": lifecycle.retire, "retry": lifecycle.try_again}
_DONE = {
    "activate": "Searches use this index now. The one before is kept up to date: you can go back.",
    "retire": "The index is retired; its space is being freed.",
    "retry": "Workers go on with it.",
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, slug: str, pk: int, action: str) -> HttpResponse:
    """Ask for confirmation, then act."""
    dataset = managed_dataset(request.user, slug)
    index = Index.objects.filter(pk=pk, dataset=dataset).first()
    if index is None or action not in ACTIONS:
        raise Http404("There is no such index of this dataset.")
    context = {
        "dataset": dataset,
        "index": index,
        "action": action,
        "progress": build.progress_of([index])[pk],
        "gaps": lifecycle.gaps_of(index),
        "may_edit": True,
        "may_manage": True,
    }
    if request.method != "POST":
        return render(request, "indexes/confirm.html", context)
    try:
        ACTIONS[action](index)
    except ServiceError as error:
        return render_error(request, "indexes/confirm.html", context, error)
    messages.success(request, _DONE[action])
    return redirect("dataset-indexes", slug)


@login_required
@require_safe
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """Two indexes side by side; what takes time is loaded as a separate fragment."""
    dataset = own_dataset(request.user, slug)
    sides = {
        name: Index.objects.filter(pk=key_of(request.GET.get(name)) or 0, dataset=dataset).first()
        for name in ("a", "b")
    }
    a, b = sides["a"], sides["b"]
    seed = (key_of(request.GET.get("seed")) or 1) % comparison.MAX_SEED
    address = request.GET.get("image", "").strip()
    context: dict[str, object] = {
        "dataset": dataset,
        "choices": dataset.indexes.filter(state__in=_COMPARABLE).order_by("pk"),
        "a": a,
        "b": b,
        "seed": seed,
        "another": seed % (comparison.MAX_SEED - 1) + 1,
        "asked": address,
        "may_edit": True,
        "may_manage": dataset.may_manage(request.user),
    }
    if a is None or b is None:
        return render(request, "indexes/compare.html", context)
    template = "indexes/_comparison.html" if is_fragment(request) else "indexes/compare.html"
    try:
        comparison.pair(a, b)
        image = _asked(dataset, address)
        context["ready"] = True
        if is_fragment(request) or "now" in request.GET:
            context["comparison"] = comparison.compare(a, b, seed=seed)
            context["rows"] = (
                comparison.compare(a, b, images=[image], rows=1).rows
                if image is not None
                else context["comparison"].rows  # type: ignore[attr-defined]
            )
            context["missing"] = bool(address) and not context["rows"]
    except ServiceError as error:
        page = render_error(request, template, context, error)
        if is_fragment(request):
            page.status_code = 200  # htmx shows no fragment of an error
        return fragment_of(page)
    page = render(request, template, context)
    return fragment_of(page) if is_fragment(request) else page


def _asked(dataset: Dataset, address: str) -> Image | None:
    """Return the image whose matches in both indexes the visitor wants to see."""
    if not address:
        return None
    key = key_of(address.rstrip("/").rpartition("/")[2])
    rows = Image.objects.filter(dataset=dataset, state=ImageState.READY)
    image = rows.filter(pk=key).first() if key is not None else None
    if image is None:
        message = "There is no ready picture of that number in this dataset."
        raise ServiceError("not_found", message, status=404)
    return image
