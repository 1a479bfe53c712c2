"""Image files over HTTP: originals, thumbnails, query images, with their dataset's permissions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import IO
from urllib.parse import urlsplit

from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.encoding import iri_to_uri
from django.utils.http import content_disposition_header, quote_etag
from django.views.decorators.http import require_safe

from searchapp.api.core.authentication import user_of
from searchapp.infra import storage
from searchapp.infra.originals import open_original, web_address
from searchapp.models import Dataset, Image, ImageState, Visibility
from searchapp.services.errors import ServiceError
from searchapp.services.search import find_query, query_thumbnail

# Raster formats that browsers show and never execute. Anything else is a download.
SAFE_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
}
OTHER_TYPES = {"TIFF": "image/tiff", "HEIF": "image/heif", "HEIC": "image/heic"}
# The columns for a thumbnail; every page requests many of them.
_COLUMNS = ("sha256", "box", "state", "dataset__visibility", "dataset__owner")
_KEEP = "max-age=86400, immutable"


@require_safe
def original(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The original file, byte for byte."""
    image = _visible(request, pk)
    address = web_address(image)
    if address is not None:
        return _elsewhere(request, image, address)
    kind = image.format.upper()
    shown = SAFE_TYPES.get(kind)
    try:
        response = _file(
            request,
            lambda: open_original(image),
            etag=image.sha256,
            content_type=shown or OTHER_TYPES.get(kind, "application/octet-stream"),
        )
    except ServiceError as error:
        return _said(error)
    disposition = content_disposition_header(shown is None, _file_name(image.name, image.pk))
    response["Content-Disposition"] = disposition or "inline"
    return _governed(response, image)


def _elsewhere(request: HttpRequest, image: Image, address: str) -> HttpResponse:
    """Say where the original is. Somebody else chose the address: this server fetches nothing for a
    visitor, and no browser is sent there unasked."""
    if request.GET.get("follow"):
        answer: HttpResponse = HttpResponseRedirect(address)
    elif request.accepts("text/html"):
        context = {"image": image, "address": address, "host": urlsplit(address).netloc}
        answer = render(request, "images/elsewhere.html", context)
    else:
        answer = HttpResponse(f"{iri_to_uri(address)}\r\n", content_type="text/uri-list")
    answer["Referrer-Policy"] = "no-referrer"
    answer["Cache-Control"] = "private, no-store"
    patch_vary_headers(answer, ["Accept", "Cookie", "Authorization"])
    return answer


@require_safe
def thumbnail(request: HttpRequest, pk: int, side: int) -> HttpResponseBase:
    if side not in storage.THUMBNAIL_SIDES:
        raise Http404("There are no thumbnails of this size.")
    image = _visible(request, pk, _COLUMNS)
    response = _file(
        request,
        lambda: storage.open_thumbnail(image.thumbnail_key, side),
        etag=f"{image.thumbnail_key}-{side}",
        content_type="image/webp",
    )
    return _governed(response, image)


@require_safe
def query_picture(request: HttpRequest, token: str) -> HttpResponseBase:
    """A query image. Its URL cannot be guessed and expires with the query."""
    try:
        query = find_query(token)
        file = query_thumbnail(query)
    except ServiceError as error:
        return _said(error)
    if file is None:
        raise Http404("There is no picture of this search.")
    answer = _file(request, lambda: file, etag=query.sha256, content_type="image/webp")
    answer["Cache-Control"] = f"private, {_KEEP}"
    return answer


def _said(error: ServiceError) -> HttpResponse:
    """Return the error's sentence as plain text."""
    response = HttpResponse(error.detail, content_type="text/plain", status=error.status)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    response["Cache-Control"] = "no-store"
    return response


def _visible(request: HttpRequest, pk: int, columns: Sequence[str] = ()) -> Image:
    """Return an image that the user may see; `columns` limits what is read of its row."""
    there = Image.objects.filter(dataset__deleted=None, pk=pk).select_related("dataset").order_by()
    image = (there.only(*columns) if columns else there).first()
    if image is not None and image.state != ImageState.READY:
        if not image.dataset.may_edit(user_of(request)):
            raise Http404("There is no such picture.")
        return image
    if image is not None and image.dataset.visibility == Visibility.PUBLIC:
        return image  # without reading the session: shared caches may store these
    visible = Dataset.objects.visible_to(user_of(request))
    if image is None or not visible.filter(pk=image.dataset_id).exists():
        raise Http404("There is no such picture, or it is in a private dataset.")
    return image


def _file(
    request: HttpRequest, open_file: Callable[[], IO[bytes]], *, etag: str, content_type: str
) -> HttpResponseBase:
    quoted = quote_etag(etag)
    response: HttpResponseBase | None = get_conditional_response(request, etag=quoted)
    if response is None:
        try:
            response = FileResponse(open_file(), content_type=content_type)
        except FileNotFoundError:
            raise Http404("This picture has no such file.") from None
    response["ETag"] = quoted
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _governed(response: HttpResponseBase, image: Image) -> HttpResponseBase:
    if image.dataset.visibility == Visibility.PUBLIC and image.state == ImageState.READY:
        response["Cache-Control"] = f"public, {_KEEP}"
    else:
        response["Cache-Control"] = f"private, {_KEEP}"
        patch_vary_headers(response, ["Cookie", "Authorization"])
    return response


def _file_name(name: str, pk: int) -> str:
    """Return the uploaded name without characters special to file systems or headers."""
    safe = re.sub(r"[\x00-\x1f\x7f/\\:*?\"<>|]+", "_", name).strip(". ")
    return safe[-150:] or f"picture-{pk}"
