"""A dataset's pictures, and adding more."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.models import PENDING_STATES, Dataset, Image, ImageState
from searchapp.pages.access import own_dataset, visible_dataset
from searchapp.pages.paging import key_of, page_of
from searchapp.pages.responses import count, fragment_of, is_fragment, render_error
from searchapp.services import ingest
from searchapp.services.datasets import counts
from searchapp.services.errors import Invalid, ServiceError
from searchapp.uploads import HashedUpload

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
    return render(request, "datasets/gallery.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest, slug: str) -> HttpResponse:
    """Adding pictures by a plain form; it ends on the page of the job."""
    dataset = own_dataset(request.user, slug)
    if request.method != "POST":  # signing in leads here when a session had ended
        return redirect(dataset)
    files = [file for file in request.FILES.getlist("file") if isinstance(file, HashedUpload)]
    try:
        if not files:
            raise Invalid("no_file", "Choose one picture or more first.")
        job = ingest.accept(dataset, files, user=request.user)
    except ServiceError as error:
        images = Image.objects.filter(dataset=dataset, state=ImageState.READY)
        context = {"dataset": dataset, "page": page_of(images, None, PAGE), "state": ""}
        context |= {"may_manage": dataset.may_manage(request.user), **_header(dataset, True)}
        return render_error(request, "datasets/gallery.html", context, error)
    return redirect("job", job.pk)


def _header(dataset: Dataset, may_edit: bool) -> dict[str, object]:
    number = counts(dataset)
    waiting = sum(number[state] for state in PENDING_STATES)
    context: dict[str, object] = {
        "may_edit": may_edit,
        "pictures": count(number["ready"], "picture", "pictures"),
        "waiting": count(waiting, "picture is", "pictures are") if waiting else "",
        "is_empty": number["ready"] == 0,
        "largest": settings.MAX_UPLOAD_BYTES,
        "largest_mb": f"{settings.MAX_UPLOAD_BYTES / 1e6:g}",
        "most_files": settings.MAX_FILES,
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
