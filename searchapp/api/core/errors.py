"""Errors of the API: RFC 9457 problem documents with a stable `code`."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    TooManyFilesSent,
)
from django.http import Http404, JsonResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from searchapp.infra.disk_space import StorageFull
from searchapp.services.errors import ServiceError

log = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
# Of statuses that a protocol has of its own: tus.
_OWN_PHRASES = {460: "Checksum Mismatch"}


def phrase(status: int) -> str:
    """Return the words for a status, those of a protocol of its own included."""
    return _OWN_PHRASES.get(status) or HTTPStatus(status).phrase


def problem_document(status: int, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """Return the members of a problem; `type` is a name, not a page."""
    return {
        "type": f"urn:lookalike:problem:{code}",
        "title": phrase(status),
        "status": status,
        "code": code,
        "detail": detail,
        **more,
    }


def problem_response(status: int, code: str, detail: str) -> JsonResponse:
    """Return a problem from outside of a REST view, such as an unknown address under /api/."""
    return JsonResponse(
        problem_document(status, code, detail), status=status, content_type=CONTENT_TYPE
    )


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler; None lets Django answer 500 and log it."""
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    if isinstance(error, ServiceError):
        status, code, detail = error.status, error.code, error.detail
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, TooManyFilesSent):
        status, code = 400, "too_many_files"
        limit = settings.MAX_FILES
        detail = f"One request may have {limit} files. Send them in several requests."
    elif isinstance(error, RequestDataTooBig):
        status, code = 413, "request_too_large"
        detail = "The request is too large. Send fewer files at once, or less text."
    elif isinstance(error, StorageFull):
        status, code = 507, "storage_full"
        detail = "The disk of the server is full; nothing was kept."
    elif isinstance(error, UnreadablePostError):
        status, code = 400, "body_incomplete"
        detail = "The connection broke before the whole body had come: send it again."
    elif isinstance(error, RecursionError):
        status, code, detail = 400, "parse_error", "The JSON is nested too deeply."
    elif isinstance(error, Http404):
        status, code, detail = 404, "not_found", "There is nothing at this address."
    elif isinstance(error, PermissionDenied):
        status, code, detail = 403, "permission_denied", "You may not do this."
    elif isinstance(error, exceptions.ValidationError):
        status, code = 400, "invalid"
        more["errors"] = error.detail
        detail = _first_sentence(error.detail)
    elif isinstance(error, exceptions.APIException):
        status, code = error.status_code, str(error.get_codes())
        detail = str(error.detail)
        if isinstance(error, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
            headers["WWW-Authenticate"] = getattr(error, "auth_header", "Bearer")
    else:
        return None
    set_rollback()
    document = _writable(problem_document(status, code, detail, **more))
    return Response(document, status=status, headers=headers, content_type=CONTENT_TYPE)


def _writable(value: Any) -> Any:
    """Replace lone surrogates, which an error may repeat from the input but UTF-8 cannot write."""
    if isinstance(value, dict):
        return {_writable(key): _writable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_writable(inner) for inner in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _first_sentence(detail: Any) -> str:
    """Return the first of DRF's nested messages, with the field that it is about."""
    if isinstance(detail, dict):
        field, inner = next(iter(detail.items()))
        sentence = _first_sentence(inner)
        return sentence if field == "non_field_errors" else f"{field}: {sentence}"
    if isinstance(detail, list):
        return _first_sentence(detail[0]) if detail else "The input is not valid."
    return str(detail)
