"""Who asks: a key in the Authorization header, or the session of a browser."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from searchapp.infra.client_address import client_network
from searchapp.models import ApiKey, key_digest
from searchapp.services.throttle import KEYS, TooManyAttempts

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_USE_NOTED_EVERY = timedelta(minutes=5)


def key_of(request: HttpRequest | Request) -> ApiKey | None:
    """Return the key that the Authorization header names; None where it names none.

    Raises:
        AuthenticationFailed: code `invalid_key`.
        TooManyAttempts: code `too_many_attempts`, in its place where wrong ones came too often.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    key = (
        ApiKey.objects.select_related("user")
        .filter(digest=key_digest(secret.strip()), revoked=None, user__is_active=True)
        .first()
    )
    if key is None:
        network = client_network(request._request if isinstance(request, Request) else request)
        KEYS.check(network)
        KEYS.count(network)
        raise AuthenticationFailed("This API key is unknown or was revoked.", code="invalid_key")
    now = timezone.now()
    if key.last_used is None or now - key.last_used > _USE_NOTED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used=now)
    return key


def user_of(request: HttpRequest) -> User | AnonymousUser:
    """Return who asks for a file: the key's user, else the session's.

    A key that is not valid is nobody: it never falls back to the session.
    """
    try:
        key = key_of(request)
    except (AuthenticationFailed, TooManyAttempts):
        return AnonymousUser()
    return key.user if key is not None else request.user


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer lk_…`."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        key = key_of(request)
        return None if key is None else (key.user, key)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Lookalike"'


class BrowserSession(SessionAuthentication):
    """The session of a signed-in browser; changes need the CSRF token."""


class _KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = KeyAuthentication
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "manage.py create_api_key"}


class _SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BrowserSession
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
