"""An id for each request: in its answer, and in the lines of the log that it caused."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
_FROM_PROXY = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """Return the id of the request that this thread answers; '' outside of one."""
    return _current.get()


class RequestIdMiddleware:
    """Gives each request an id; that of the proxy in front where its headers are believed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get(HEADER, "") if settings.PROXY_HEADERS else ""
        number = sent if _FROM_PROXY.fullmatch(sent) else secrets.token_hex(8)
        token = _current.set(number)
        try:
            response = self._get_response(request)
        finally:
            _current.reset(token)
        response[HEADER] = number
        return response


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to records of the log: ' [id]', or '' outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        number = request_id()
        record.request_id = f" [{number}]" if number else ""
        return True
