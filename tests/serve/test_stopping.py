"""The life of one data folder: started, stopped, killed outright, and started again."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from harness.installation import Client, Installation, wait_until
from tests.serve.conftest import orphans_of, sockets, wait_for_nobody
from tests.survival import census
from tests.survival.pictures import pictures


@pytest.fixture(scope="module")
def house() -> Iterator[Installation]:
    """An installation that the tests start and stop; nobody chooses its password."""
    made = Installation(LOOKALIKE_DEMO="0")
    del made.environment["LOOKALIKE_ADMIN_PASSWORD"]
    yield made
    for process in orphans_of(made):
        process.kill()
    made.remove()


def _stop_whole(house: Installation, how: signal.Signals) -> None:
    assert house.stop(how) == 0
    assert house.output.read_text().endswith("Lookalike has stopped.\n")
    wait_for_nobody(house)
    assert sockets(house.data) == []


def _said(house: Installation) -> str:
    """What `serve` has printed since its last start."""

    def check() -> str | None:
        text = house.output.read_text().rpartition("Preparing the database")[2]
        return text if "Stop " in text else None

    return wait_until(check, "serve does not say where it is")


def _password_file(house: Installation) -> Path:
    return house.data / "admin-password"


def _login(house: Installation, password: str) -> requests.Response:
    visitor = requests.Session()
    page = visitor.get(f"{house.url}/login/", timeout=60)
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found is not None
    return visitor.post(
        f"{house.url}/login/",
        data={"csrfmiddlewaretoken": found[1], "username": "admin", "password": password},
        timeout=60,
    )


def _is_in(answer: requests.Response) -> bool:
    return answer.status_code == 200 and not answer.url.rstrip("/").endswith("/login")


def test_the_first_start_says_all_that_one_needs_and_sigint_ends_it(house: Installation) -> None:
    house.start()
    said = _said(house)
    assert f"Address   {house.url}/\n" in said
    assert "Name      admin\n" in said
    assert "Stop      Ctrl-C\n" in said
    found = re.search(r"Password  (\S+)", said)
    assert found is not None
    assert _is_in(_login(house, found[1]))
    assert not _is_in(_login(house, found[1] + "x"))
    assert _password_file(house).read_text().strip() == found[1]
    assert _password_file(house).stat().st_mode & 0o077 == 0

    _stop_whole(house, signal.SIGINT)


def test_a_killed_supervisor_leaves_nobody_behind_and_nothing_lost(house: Installation) -> None:
    house.start()
    owner = Client(house.url, house.key("write"))
    slug = owner.dataset("kept")
    files = pictures(12, seed=400)
    ids = {item["name"]: item["id"] for item in owner.upload(slug, *files.items())["items"]}

    house.serve.kill()
    house.serve.wait(20)
    wait_for_nobody(house)
    house.start()

    said = _said(house)
    assert f"Password  the one in {_password_file(house)}\n" in said
    password = _password_file(house).read_text().strip()
    assert password not in said
    assert _is_in(_login(house, password))
    counts = census.settled(owner, slug)
    assert counts["ready"] == counts["total"] == len(files)
    for name, picture in list(files.items())[:3]:
        best = owner.search(picture, dataset=slug, top_k=1).json()["results"][0]
        assert best["image"]["id"] == ids[name]

    _stop_whole(house, signal.SIGTERM)
