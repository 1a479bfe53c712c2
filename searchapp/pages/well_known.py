"""What machines look for at fixed addresses: robots.txt, favicon.ico, security.txt."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

# Of no use in a search engine, or costly to answer.
_NOT_FOR_ROBOTS = ("search-post", "compare", "login", "api-docs", "jobs")
_VALID = timedelta(days=90)


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """Galleries of public datasets may be listed by search engines, searches may not."""
    lines = ["User-agent: *", *(f"Disallow: {reverse(name)}" for name in _NOT_FOR_ROBOTS)]
    return _text("\n".join(lines))


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    return HttpResponsePermanentRedirect(static("favicon.ico"))


@require_safe
def security(request: HttpRequest) -> HttpResponse:
    """Whom to tell about a weakness (RFC 9116); 404 unless the owner of the site has said so."""
    if not settings.SECURITY_CONTACT:
        raise Http404("The owner of this site has set no LOOKALIKE_SECURITY_CONTACT.")
    expires = (timezone.now() + _VALID).replace(microsecond=0)
    lines = [
        *(f"Contact: {contact}" for contact in settings.SECURITY_CONTACT),
        f"Expires: {expires.isoformat()}",
        "Preferred-Languages: en",
        f"Canonical: {request.build_absolute_uri(reverse('security-txt'))}",
    ]
    return _text("\n".join(lines))


def _text(text: str) -> HttpResponse:
    response = HttpResponse(f"{text}\n", content_type="text/plain; charset=utf-8")
    response["Cache-Control"] = "public, max-age=86400"
    return response
