"""Fetch one image: redirects are checked like the first address, and the size is limited."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import h11

from searchapp.infra.fetch.connection import HttpConnection
from searchapp.infra.fetch.deadline import Deadline
from searchapp.infra.fetch.errors import FetchError
from searchapp.infra.fetch.policy import FetchPolicy
from searchapp.infra.fetch.resolve import Resolver, permitted_addresses, system_resolver
from searchapp.infra.fetch.target import Target, parse_target

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})


class Writer(Protocol):
    """The destination of a fetch, to which the body is written in pieces."""

    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of a fetch: final URL, size in bytes, and SHA-256 in hexadecimal."""

    final_url: str
    bytes: int
    sha256: str


def fetch_picture(
    url: str,
    destination: Writer,
    *,
    policy: FetchPolicy | None = None,
    resolver: Resolver = system_resolver,
) -> Fetched:
    """Download `url` into `destination`, starting at its current position.

    `policy` defaults to that of the installation (`FetchPolicy.from_settings`). No cookies,
    credentials or proxies are used. Each redirect is parsed, resolved and checked as if a user had
    entered it.

    Raises `FetchError` when the image could not or may not be fetched, with one of these codes:
    `address_invalid`, `scheme_not_allowed`, `credentials_not_allowed`, `port_not_allowed`,
    `address_not_allowed`, `host_not_found`, `certificate_invalid`, `too_many_redirects`,
    `fetch_timeout`, `fetch_status`, `encoding_not_supported`, `file_too_large`, `fetch_failed`.
    `destination` may then contain a part of the body. Errors of `destination.write` propagate
    unchanged.
    """
    if policy is None:
        policy = FetchPolicy.from_settings()
    deadline = Deadline(policy.timeout)
    target = parse_target(url)
    for _ in range(policy.max_redirects + 1):
        addresses = permitted_addresses(target, policy, resolver, deadline)
        with HttpConnection.open(target, addresses, deadline) as connection:
            response = connection.get(target)
            if response.status_code not in _REDIRECTS:
                _check_head(response, policy)
                return _receive(connection, destination, target, policy)
        target = target.follow(_location(response))
    raise FetchError(
        "too_many_redirects",
        f"This address forwards more than {policy.max_redirects} times. Give the address of the "
        "picture itself.",
    )


def _receive(
    connection: HttpConnection, destination: Writer, target: Target, policy: FetchPolicy
) -> Fetched:
    size = 0
    digest = hashlib.sha256()
    for piece in connection.body():
        size += len(piece)
        if size > policy.max_bytes:
            raise _too_large(policy)
        digest.update(piece)
        destination.write(piece)
    return Fetched(final_url=target.url, bytes=size, sha256=digest.hexdigest())


def _check_head(response: h11.Response, policy: FetchPolicy) -> None:
    status = response.status_code
    if status != 200:
        raise FetchError(
            "fetch_status",
            f"The server did not give the picture; it answered with status {status}.",
            retryable=status >= 500 or status in _WORTH_ANOTHER_TRY,
        )
    encodings = _header(response, b"content-encoding").lower().replace(" ", "")
    if encodings not in ("", "identity"):
        raise FetchError(
            "encoding_not_supported",
            "The server sends the picture compressed, though it was asked not to. Upload the "
            "picture from your device instead.",
        )
    announced = _header(response, b"content-length")
    # h11 has rejected lengths that are not numbers. The body is counted in any case.
    if announced and int(announced) > policy.max_bytes:
        raise _too_large(policy)


def _location(response: h11.Response) -> str:
    location = _header(response, b"location")
    if not location:
        raise FetchError(
            "fetch_status",
            "The server forwards to another address, but does not say which "
            f"(status {response.status_code}).",
        )
    return location


def _header(response: h11.Response, name: bytes) -> str:
    """Return all values of a header, joined by commas, or "". h11 gives names in lower case."""
    value = b",".join(content for header, content in response.headers if header == name)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _too_large(policy: FetchPolicy) -> FetchError:
    return FetchError(
        "file_too_large",
        f"The picture at this address is larger than {_in_words(policy.max_bytes)}, which is the "
        "limit here.",
    )


def _in_words(size: int) -> str:
    if size >= 1_000_000:
        return f"{size / 1_000_000:g} MB"
    return f"{size} bytes"
