"""The network address of who sent a request."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def sender_of(request: HttpRequest | Request) -> str:
    """Return who has a share of what the site keeps: a user, else a network."""
    if request.user.is_authenticated:
        return f"user {request.user.pk}"
    return client_network(request._request if isinstance(request, Request) else request)


def client_network(request: HttpRequest) -> str:
    """Return the address of the client; of IPv6 its /64, of which one client has all.

    Behind a proxy whose headers are believed, it is the last address in X-Forwarded-For: the proxy
    wrote that one, the others are what the client claims.
    """
    text = str(request.META.get("REMOTE_ADDR", ""))
    if settings.PROXY_HEADERS:
        text = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text[:60]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
