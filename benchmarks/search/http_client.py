"""HTTP client of one keep-alive connection; times from the first byte sent to the last received.

Bodies are encoded beforehand, and nothing heavier than `http.client` is used, so that the figures
are the server's and not the client's.
"""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests


class SearchClient:
    """A connection with an API key, opened by the first search."""

    def __init__(self, url: str, key: str, **fields: str | int) -> None:
        self._url, self._key, self._fields = f"{url}/api/v1/search/", key, fields
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)

    def search(self, picture: Path) -> tuple[float, dict[str, Any]]:
        """Search with an image; return the milliseconds and the answer."""
        return self._post({}, {"image": (picture.name, picture.read_bytes(), "image/jpeg")})

    def search_kept(self, query: str, box: str) -> tuple[float, dict[str, Any]]:
        """Search with a box of an earlier query image, by its id."""
        return self._post({"query": query, "box": box}, None)

    def _post(
        self, fields: dict[str, str], files: dict[str, tuple[str, bytes, str]] | None
    ) -> tuple[float, dict[str, Any]]:
        encoded = requests.Request(
            "POST",
            self._url,
            headers={"Authorization": f"Bearer {self._key}"},
            data=self._fields | fields,
            files=files,
        ).prepare()
        body = encoded.body.encode() if isinstance(encoded.body, str) else encoded.body
        started = time.perf_counter()
        self._connection.request("POST", encoded.path_url, body, dict(encoded.headers))
        answer = self._connection.getresponse()
        content = answer.read()
        took = (time.perf_counter() - started) * 1000
        if answer.status != 200:
            raise RuntimeError(f"a search was answered with {answer.status}: {content.decode()}")
        return took, json.loads(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()
