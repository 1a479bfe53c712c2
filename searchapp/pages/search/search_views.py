"""Views of the search page: start, results, suggested regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.infra.client_address import sender_of
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import PENDING_STATES, Dataset, Image, Query
from searchapp.pages.access import find_dataset, visible_image
from searchapp.pages.pagination import key_of
from searchapp.pages.responses import (
    NOTHING_NEW,
    count,
    fragment_of,
    is_fragment,
    render_error,
)
from searchapp.pages.search.filter_panel import panel_of
from searchapp.pages.search.query_overlay import address_of, compare_link, lens_of
from searchapp.pages.search.result_groups import add_facts, arrange, strip
from searchapp.pages.search.search_params import LIST, SearchParams, read
from searchapp.services import search as service
from searchapp.services.calibration import plot_of
from searchapp.services.datasets import demo_gallery
from searchapp.services.errors import BadPicture, Invalid, ServiceError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# A selector is of no use with more entries than this; each dataset's page links to its search.
MAX_CHOICES = 200


@dataclass(frozen=True)
class SearchSubject:
    """What is searched with: a query image or a stored image."""

    name: str
    picture: str
    path: str
    source: Query | Image

    @property
    def image(self) -> Image | None:
        return self.source if isinstance(self.source, Image) else None

    @property
    def query(self) -> Query | None:
        return self.source if isinstance(self.source, Query) else None

    def read(self, request: HttpRequest) -> tuple[SearchParams, ServiceError | None]:
        return read(request.GET, self.path, None if self.image is None else self.image.pk)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "search/home.html", _home_context(request))


@require_http_methods(["GET", "HEAD", "POST"])
def search(request: HttpRequest) -> HttpResponse:
    """POST stores a query image and redirects to its results; GET searches with a stored image."""
    if request.method == "POST":
        return _ask(request)
    pk = key_of(request.GET.get("image"))
    if pk is None:
        if request.GET.get("image"):
            raise Http404("There is no such picture.")
        return redirect("home")
    return _show(request, _of_image(visible_image(request.user, pk)))


@require_safe
def results(request: HttpRequest, token: str) -> HttpResponse:
    """The results of a query image; this URL can be shared and reloaded."""
    try:
        return _show(request, _of_query(service.find_query(token)))
    except ServiceError as error:
        return render_error(request, "search/gone.html", {}, error)


@require_safe
def query_regions(request: HttpRequest, token: str) -> HttpResponse:
    """Suggested boxes of a query image, as a fragment of its page."""
    try:
        return _regions(request, _of_query(service.find_query(token)))
    except ServiceError:
        return _nothing_new()


@require_safe
def image_regions(request: HttpRequest, pk: int) -> HttpResponse:
    """Suggested boxes of a stored image, as a fragment of the page of a search with it."""
    return _regions(request, _of_image(visible_image(request.user, pk)))


def _of_image(image: Image) -> SearchSubject:
    return SearchSubject(image.caption, image.thumbnail_url(512), reverse("search-post"), image)


def _of_query(query: Query) -> SearchSubject:
    return SearchSubject(
        name=query.name or urlsplit(query.url).hostname or "your picture",
        picture=query.picture_url,
        path=query.get_absolute_url(),
        source=query,
    )


def _ask(request: HttpRequest) -> HttpResponse:
    upload = request.FILES.get("picture") or request.FILES.get("camera")
    address = request.POST.get("address", "").strip()
    slug = request.POST.get("dataset", "")
    try:
        if slug:
            slug = find_dataset(request.user, slug).slug
        if isinstance(upload, HashedUpload) and (upload.size or not address):
            query = service.ask_upload(upload, request.user, sender_of(request))
        elif address:
            query = service.ask_url(address, request.user, sender_of(request))
        else:
            raise Invalid("no_picture", "Choose a picture first, or give the address of one.")
    except Http404 as error:
        unknown = ServiceError("unknown_dataset", str(error), status=404)
        return _ask_again(request, unknown, address)
    except ServiceError as error:
        return _ask_again(request, error, address)
    where = reverse("results", args=[query.token])
    response = HttpResponseRedirect(f"{where}?{urlencode({'dataset': slug})}" if slug else where)
    response.status_code = 303
    return response


def _ask_again(request: HttpRequest, error: ServiceError, address: str = "") -> HttpResponse:
    context = _home_context(request, address=address)
    return render_error(request, "search/home.html", context, error)


def _show(request: HttpRequest, subject: SearchSubject) -> HttpResponse:
    params, wrong = subject.read(request)
    deep = request.GET.get("deep") == "1"
    choices = _choices(request.user)
    chosen = _chosen(request, params.datasets, choices)
    params = replace(params, datasets=tuple(dataset.slug for dataset in chosen))
    datasets = chosen or choices
    context = {
        "subject": subject,
        "asked": params,
        "panel": panel_of(params, choices, datasets),
        "whole": params.but(box=None).link,
        "unfloored": params.but(floor=None).link,
        "without": params.but().link,  # the first page
        "chosen": chosen[0] if len(chosen) == 1 else None,
        "keep_hours": settings.QUERY_KEEP_HOURS,
        "is_part": _is_part(request),
    }
    try:
        if wrong is not None:
            raise wrong
        answer = _answer(subject, params, datasets, deep)
    except ServiceError as error:
        # Only the search finds a query image unusable; the error is shown at the drop zone.
        if error.status == BadPicture.status and subject.query is not None:
            return _ask_again(request, error)
        return _governed(request, params, render_error(request, _template(request), context, error))
    if deep and _is_part(request) and not answer.found_deep:
        return _nothing_new()
    line = answer.cutoff.score if params.floor is None else params.floor
    own = subject.image.pk if subject.image and params.box is None else None
    groups = arrange(answer, params.sort, params.floor, partial(_links, subject, params), own)
    context |= {
        "answer": answer,
        "found": groups,
        "strip": strip(answer, params.floor),
        "plot": plot_of(answer.indexes, [match.score for match in answer.matches], line),
        "lens": lens_of(subject.source, params, answer.width, answer.height),
        "matches": count(groups.number, "match", "matches"),
        "searched": count(answer.searched, "picture", "pictures"),
        "waiting": _waiting(datasets),
        "next": params.but(after=answer.next).link if answer.next else None,
        "first": params.but().link if params.after else None,
        "deeper": _deeper(params) if answer.unfinished else None,
        "may_add": len(chosen) == 1 and chosen[0].may_edit(request.user),
    }
    return _governed(request, params, render(request, _template(request), context))


def _deeper(params: SearchParams) -> str:
    """Return the URL of the same results with more of the matches verified."""
    return f"{params.link}{'&' if params.pairs() else '?'}deep=1"


def _answer(
    subject: SearchSubject, params: SearchParams, datasets: Sequence[Dataset], deep: bool
) -> service.Answer:
    """Search; without `deep`, verify only the first matches, so that the page is quick.

    The page loads the deeper answer afterwards; it rarely differs.
    """
    search_request = service.SearchRequest(
        service.indexes_of(datasets),
        params.number,
        condition=params.condition,
        sort=params.sort,
        collapse=params.once,
        after=params.after,
        deep=deep,
    )
    if isinstance(subject.source, Query):
        answer = service.answer_query(subject.source, search_request, params.box)
    else:
        answer = service.answer_image(subject.source, search_request, params.box)
    if params.layout == LIST:
        add_facts([match.image for match in answer.matches])
    return answer


def _links(subject: SearchSubject, params: SearchParams, image: Image) -> tuple[str, str]:
    search_link = params.of(image.pk, address_of("search-post")).link
    return search_link, compare_link(subject.source, image, params)


def _template(request: HttpRequest) -> str:
    return "search/_page.html" if _is_part(request) else "search/results.html"


def _is_part(request: HttpRequest) -> bool:
    # When going back in the history, htmx requests a whole page.
    return is_fragment(request) and "HX-History-Restore-Request" not in request.headers


def _governed(request: HttpRequest, params: SearchParams, response: HttpResponse) -> HttpResponse:
    """Give a fragment the shortest URL of its state: forms send empty parameters, too."""
    if not _is_part(request):
        return response
    response["HX-Push-Url"] = "false" if request.GET.get("deep") else params.link
    return fragment_of(response)


def _regions(request: HttpRequest, subject: SearchSubject) -> HttpResponse:
    params, _ = subject.read(request)
    size = [key_of(request.GET.get(name)) for name in ("width", "height")]
    if subject.image is not None:
        size = [subject.image.width, subject.image.height]
    if not size[0] or not size[1]:
        return _nothing_new()
    try:
        service.find_regions(subject.source)
    except ServiceError:  # suggestions are optional: show no error
        return _nothing_new()
    lens = lens_of(subject.source, params, size[0], size[1])
    return fragment_of(render(request, "search/_query_overlay.html", {"lens": lens}))


def _nothing_new() -> HttpResponse:
    return fragment_of(HttpResponse(status=NOTHING_NEW))


def _home_context(request: HttpRequest, address: str = "") -> dict[str, object]:
    params = request.POST if request.method == "POST" else request.GET
    return {
        "choices": _choices(request.user),
        "slug": params.get("dataset", ""),
        "address": address,
        "try_one": demo_gallery.examples(),
        "largest": f"{settings.MAX_UPLOAD_BYTES / 1e6:g}",
        "keep_hours": settings.QUERY_KEEP_HOURS,
    }


def _choices(user: User | AnonymousUser) -> list[Dataset]:
    return list(Dataset.objects.visible_to(user)[:MAX_CHOICES])


def _chosen(
    request: HttpRequest, slugs: Sequence[str], choices: Sequence[Dataset]
) -> list[Dataset]:
    """Return the datasets that a URL names, each once, without those the user may not see."""
    known = {dataset.slug: dataset for dataset in choices}
    named = slugs[: service.MAX_DATASETS]
    datasets = [known.get(slug) or find_dataset(request.user, slug) for slug in named]
    return list({dataset.pk: dataset for dataset in datasets}.values())


def _waiting(datasets: Sequence[Dataset]) -> str:
    """Return '38 pictures are', of those that are not searchable yet, or ''."""
    waiting = Image.objects.filter(
        dataset__in=[dataset.pk for dataset in datasets], state__in=PENDING_STATES
    ).count()
    return count(waiting, "picture is", "pictures are") if waiting else ""
