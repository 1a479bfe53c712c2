"""A WSGI application to try the web server's worker with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the number of bytes in the body, its digest, and the path."""
    digest, size = hashlib.sha256(), 0
    while data := environ["wsgi.input"].read(256 * 1024):
        digest.update(data)
        size += len(data)
    body = f"{environ['PATH_INFO']} {size} {digest.hexdigest()}".encode()
    if environ["PATH_INFO"] == "/large":
        body = b"x" * 50_000_000
    start("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]
