"""The search page and its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.models import PENDING_STATES, Dataset, Image, ImageState, Query
from searchapp.pages.access import find_dataset, visible_image
from searchapp.pages.paging import key_of
from searchapp.pages.responses import count, render_error
from searchapp.services import search as service
from searchapp.services.errors import BadPicture, Invalid, ServiceError
from searchapp.uploads import HashedUpload

if TYPE_CHECKING:
    from django.contrib.auth.models import User

RESULT_STEPS = (24, 60, 120, 200)
# A selector with more entries than this helps nobody; the dataset's own page has a search link.
MOST_CHOICES = 200
TRY_ONE = (
    "erase-kingfisher.jpg",
    "explore_monuments-germany-neuschwansteinCastle.jpg",
    "categorization-fish1.jpg",
    "erase-red_panda.jpg",
    "solar_system-saturn.jpg",
    "categorization-windmill1.jpg",
    "explore_monuments-india-hawaMahal.jpg",
    "categorization-hammer1.jpg",
)


@dataclass(frozen=True)
class Subject:
    """What is searched with: a query picture that is kept, or a stored image."""

    name: str
    picture: str
    address: str
    parameters: dict[str, str]
    image: Image | None = None
    query: Query | None = None

    def link(self, **changes: str | int) -> str:
        parameters = {**self.parameters, **{key: str(value) for key, value in changes.items()}}
        shown = {key: value for key, value in parameters.items() if value}
        return f"{self.address}?{urlencode(shown)}" if shown else self.address


@dataclass(frozen=True)
class Card:
    """A match as it is shown."""

    image: Image
    link: str
    score: str
    bar: int  # percent
    is_self: bool


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "search/home.html", _home_context(request))


@require_http_methods(["GET", "HEAD", "POST"])
def search(request: HttpRequest) -> HttpResponse:
    """POST keeps a query picture and leads to its results; GET searches with a stored image."""
    if request.method == "POST":
        return _ask(request)
    pk = key_of(request.GET.get("image"))
    if pk is None:
        if request.GET.get("image"):
            raise Http404("There is no such picture.")
        return redirect("home")
    image = visible_image(request.user, pk)
    slug = _chosen_slug(request)
    subject = Subject(
        name=image.caption,
        picture=image.thumbnail_url(512),
        address=reverse("search-post"),
        parameters={"image": str(image.pk), "dataset": slug},
        image=image,
    )
    return _show(
        request,
        subject,
        slug,
        lambda wanted: service.answer_image(image, wanted),
    )


@require_safe
def results(request: HttpRequest, token: str) -> HttpResponse:
    """The results of a kept query picture: this address can be shared and reloaded."""
    slug = _chosen_slug(request)
    try:
        query = service.find_query(token)
    except ServiceError as error:
        return render_error(request, "search/gone.html", {}, error)
    subject = Subject(
        name=query.name or urlsplit(query.url).hostname or "your picture",
        picture=query.picture_url,
        address=query.get_absolute_url(),
        parameters={"dataset": slug},
        query=query,
    )
    return _show(
        request,
        subject,
        slug,
        lambda wanted: service.answer_query(query, wanted),
    )


def _ask(request: HttpRequest) -> HttpResponse:
    upload = request.FILES.get("picture") or request.FILES.get("camera")
    address = request.POST.get("address", "").strip()
    slug = request.POST.get("dataset", "")
    try:
        if slug:
            slug = find_dataset(request.user, slug).slug
        if isinstance(upload, HashedUpload) and (upload.size or not address):
            query = service.ask_upload(upload, request.user)
        elif address:
            query = service.ask_url(address, request.user)
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


def _show(
    request: HttpRequest,
    subject: Subject,
    slug: str,
    answer_with: Callable[[service.Wanted], service.Answer],
) -> HttpResponse:
    choices = _choices(request.user)
    chosen = find_dataset(request.user, slug) if slug else None
    datasets = [chosen] if chosen else choices
    top_k = _top_k(request)
    context = {
        "subject": subject,
        "choices": choices,
        "slug": slug,
        "chosen": chosen,
        "keep_hours": settings.QUERY_KEEP_HOURS,
    }
    try:
        answer = answer_with(service.Wanted(service.indexes_of(datasets), top_k))
    except ServiceError as error:
        # That the picture cannot be used is known only now, and belongs to the drop zone.
        if error.status == BadPicture.status and subject.query is not None:
            return _ask_again(request, error)
        return render_error(request, "search/results.html", context, error)
    more = next((step for step in RESULT_STEPS if step > top_k), None)
    own = subject.image.pk if subject.image else None
    context |= {
        "answer": answer,
        "cards": [_card(match, slug, own) for match in answer.matches],
        "matches": count(len(answer.matches), "match", "matches"),
        "searched": count(answer.searched, "picture", "pictures"),
        "waiting": _waiting(datasets),
        "more": subject.link(k=more) if more and len(answer.matches) == top_k else None,
        "may_add": chosen is not None and chosen.may_edit(request.user),
    }
    return render(request, "search/results.html", context)


def _card(match: service.Match, slug: str, own: int | None) -> Card:
    parameters = {"image": str(match.image.pk)} | ({"dataset": slug} if slug else {})
    return Card(
        image=match.image,
        link=f"{reverse('search-post')}?{urlencode(parameters)}",
        score=f"{match.score:.2f}",
        bar=max(0, round(match.score * 100)),
        is_self=match.image.pk == own,
    )


def _home_context(request: HttpRequest, address: str = "") -> dict[str, object]:
    given = request.POST if request.method == "POST" else request.GET
    return {
        "choices": _choices(request.user),
        "slug": given.get("dataset", ""),
        "address": address,
        "try_one": _try_one(),
        "largest": f"{settings.MAX_UPLOAD_BYTES / 1e6:g}",
        "keep_hours": settings.QUERY_KEEP_HOURS,
    }


def _choices(user: User | AnonymousUser) -> list[Dataset]:
    return list(Dataset.objects.visible_to(user)[:MOST_CHOICES])


def _chosen_slug(request: HttpRequest) -> str:
    slug = request.GET.get("dataset", "")
    return find_dataset(request.user, slug).slug if slug else ""


def _top_k(request: HttpRequest) -> int:
    value = key_of(request.GET.get("k"))
    return min(value, service.MAX_RESULTS) if value else RESULT_STEPS[0]


def _try_one() -> list[Image]:
    found = {
        image.name: image
        for image in Image.objects.filter(
            dataset__slug="demo",
            dataset__visibility="public",
            state=ImageState.READY,
            name__in=TRY_ONE,
        )
    }
    return [found[name] for name in TRY_ONE if name in found]


def _waiting(datasets: Sequence[Dataset]) -> str:
    """'38 pictures are' still on their way, or nothing."""
    waiting = Image.objects.filter(
        dataset__in=[dataset.pk for dataset in datasets], state__in=PENDING_STATES
    ).count()
    return count(waiting, "picture is", "pictures are") if waiting else ""
