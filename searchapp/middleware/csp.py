"""The Content-Security-Policy header."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"


def _policy(**directives: str) -> str:
    return "; ".join(f"{name.replace('_', '-')} {value}" for name, value in directives.items())


# Our own pages: nothing inline, nothing from other origins. blob: is for the preview of a dropped
# or pasted image that is still being uploaded.
OURS = _policy(
    default_src="'none'",
    script_src="'self'",
    style_src="'self'",
    img_src="'self' data: blob:",
    connect_src="'self'",
    form_action="'self'",
    base_uri="'none'",
    frame_ancestors="'none'",
    font_src="'self'",
    manifest_src="'self'",
)
# django-unfold has an inline style, and Alpine expressions that need unsafe-eval.
ADMIN = _policy(
    default_src="'self'",
    script_src="'self' 'unsafe-inline' 'unsafe-eval'",
    style_src="'self' 'unsafe-inline'",
    img_src="'self' data: blob:",
    font_src="'self' data:",
    connect_src="'self'",
    object_src="'none'",
    form_action="'self'",
    base_uri="'self'",
    frame_ancestors="'none'",
)
# The Swagger page starts with an inline script and style.
DOCS = _policy(
    default_src="'none'",
    script_src="'self' 'unsafe-inline'",
    style_src="'self' 'unsafe-inline'",
    img_src="'self' data:",
    font_src="'self'",
    connect_src="'self'",
    form_action="'self'",
    base_uri="'none'",
    frame_ancestors="'none'",
)
_BY_PREFIX = {"/admin/": ADMIN, "/api/docs/": DOCS}


class ContentSecurityPolicyMiddleware:
    """Adds a policy to every response that has none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if not response.has_header(HEADER):
            response[HEADER] = next(
                (
                    policy
                    for prefix, policy in _BY_PREFIX.items()
                    if request.path_info.startswith(prefix)
                ),
                OURS,
            )
        return response
