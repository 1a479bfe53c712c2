"""What the tests of the fetch share."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pytest

from searchapp.infra.fetch import Fetched, FetchError, FetchPolicy, fetch_picture
from searchapp.infra.fetch.resolve import Resolver, system_resolver
from tests.infra.fetch.servers import Server

PICTURE = bytes(range(256)) * 40


class Names:
    """A resolver with a book of names: each lookup takes the next answer, the last one stays."""

    def __init__(self, **book: list[list[str]]) -> None:
        self.book = {name.replace("_", "."): answers for name, answers in book.items()}
        self.asked: list[str] = []

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        answers = self.book[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Fetch(Protocol):
    """Fetch an address from servers that are allowed by name."""

    def __call__(
        self, url: str, *servers: Server, resolver: Resolver = ..., **rules: Any
    ) -> tuple[Fetched, bytes]: ...


@pytest.fixture
def fetch() -> Fetch:
    def run(
        url: str, *servers: Server, resolver: Resolver = system_resolver, **rules: Any
    ) -> tuple[Fetched, bytes]:
        rules.setdefault("allowed_hosts", tuple(server.authority for server in servers))
        policy = replace(FetchPolicy(timeout=20), **rules)
        destination = io.BytesIO()
        fetched = fetch_picture(url, destination, policy=policy, resolver=resolver)
        return fetched, destination.getvalue()

    return run


@pytest.fixture
def refusal(fetch: Fetch) -> Callable[..., FetchError]:
    """Fetch, and give the error that has to come."""

    def run(url: str, *servers: Server, **rules: Any) -> FetchError:
        with pytest.raises(FetchError) as caught:
            fetch(url, *servers, **rules)
        assert caught.value.detail.endswith("."), "details are sentences"
        return caught.value

    return run
