"""Error pages for people. Programs get problem documents instead."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.shortcuts import render
from django.template import TemplateDoesNotExist, loader
from django.urls import reverse

from searchapp.api.core.errors import problem_response
from searchapp.infra.disk_space import StorageFull
from searchapp.middleware.request_id import request_id
from searchapp.pages.responses import megabytes
from searchapp.services.errors import ServiceError


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    detail = "The server could not make sense of this request."
    code = "bad_request"
    if isinstance(exception, StorageFull):
        detail = "The disk of the server is full, so nothing was kept. Tell its owner."
        return _page(request, 507, "storage_full", "There is no room left", detail)
    if isinstance(exception, TooManyFilesSent):
        code = "too_many_files"
        detail = f"At most {settings.MAX_FILES} files fit into one request. Send fewer at once."
    elif isinstance(exception, TooManyFieldsSent):
        detail = "The form has too many fields."
    elif isinstance(exception, RequestDataTooBig):
        code = "request_too_large"
        most = megabytes(settings.MAX_REQUEST_BYTES)
        detail = f"At most {most} fit into one request. Send fewer pictures at once."
    elif isinstance(exception, DisallowedHost):
        detail = "This site does not answer to that name. Its owner can add it to ALLOWED_HOSTS."
    elif isinstance(exception, DataError | ValueError):
        detail = "A text in this request holds the character NUL, which cannot be kept."
    return _page(request, 400, code, "That did not work", detail)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    detail = str(exception) or "You may look at this, but not change it."
    return _page(request, 403, "permission_denied", "This is not yours to change", detail)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    detail = (
        "This form has grown old, or cookies are switched off. Go back, reload the page, and send "
        "it again."
    )
    return _page(request, 403, "csrf_failed", "Please send that again", detail)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    reason = exception.args[0] if exception.args else ""
    # Django's own reason lists URL patterns, which mean nothing to visitors.
    detail = reason if isinstance(reason, str) and reason else "Nothing lives at this address."
    return _page(request, 404, "not_found", "There is nothing here", detail)


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """Say which methods an address has: `allowed`, as in the header Allow."""
    detail = f"This address does not take {request.method}; it takes {allowed}."
    response = _page(request, 405, "method_not_allowed", "Not this way", detail)
    response["Allow"] = allowed
    return response


def method_unknown(request: HttpRequest) -> HttpResponse:
    """Refuse a method that no address has, TRACE among them, which repeats what it is sent."""
    return problem_response(501, "method_unknown", "No address of this site takes this method.")


def too_many_attempts(request: HttpRequest, error: ServiceError) -> HttpResponse:
    response = _page(request, error.status, error.code, "Too many attempts", error.detail)
    response["Retry-After"] = str(error.retry_after)
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    detail = (
        "The server met something that it was not prepared for. It is noted in its log as request "
        f"{request_id()}."
    )
    if _is_api(request):
        return problem_response(500, "internal_error", detail)
    try:
        return HttpResponseServerError(
            loader.render_to_string(
                "errors/500.html", {"request_id": request_id(), "home": reverse("home")}
            )
        )
    except (TemplateDoesNotExist, ValueError):
        # An error page must not fail itself, for example because static files are missing.
        return HttpResponseServerError(detail, content_type="text/plain")


def _page(request: HttpRequest, status: int, code: str, heading: str, detail: str) -> HttpResponse:
    if _is_api(request):
        return problem_response(status, code, detail)
    context = {"heading": heading, "detail": detail, "status": status}
    return render(request, f"errors/{status}.html", context, status=status)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
