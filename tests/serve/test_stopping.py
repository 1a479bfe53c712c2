"""The life of one data folder: started, stopped, killed and started again."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.installation import Client, Installation, wait_until
from tests.serve.conftest import processes_of, sockets, wait_for_nobody
from tests.survival import census
from tests.survival.pictures import pictures


@pytest.fixture(scope="module")
def house() -> Iterator[Installation]:
    """An installation that tests start and stop; nobody chose its password."""
    made = Installation(LOOKALIKE_DEMO="0")
    del made.environment["LOOKALIKE_ADMIN_PASSWORD"]
    try:
        yield made
    finally:
        if made.has_started:
            made.remove()


def _said(house: Installation) -> str:
    """What `serve` has printed since its last start, once all of it is there."""

    def check() -> str | None:
        text = house.output.read_text().rpartition("Preparing the database")[2]
        return text if "Stop " in text else None

    return wait_until(check, "serve does not say where it is")


def _login(house: Installation, password: str) -> requests.Response:
    visitor = requests.Session()
    page = visitor.get(f"{house.url}/login/", timeout=60)
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found is not None
    return visitor.post(
        f"{house.url}/login/",
        data={"csrfmiddlewaretoken": found[1], "username": "admin", "password": password},
        allow_redirects=False,
        timeout=60,
    )
