"""The life of one data folder: started, killed outright, started again, and stopped.

Its name is one that addresses, configuration files and sockets do not like.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from harness.installation import Client, Installation, wait_until
from searchapp.settings.paths import runtime_dir
from tests.application import census
from tests.application.conftest import orphans_of, wait_for_nobody
from tests.application.pictures import pictures

pytestmark = pytest.mark.application
HARD_NAME = "50% off + 'más' \"100%41\"#1?"
LONG_NAME = "a-folder-with-a-long-name-" * 5


@pytest.fixture(scope="module")
def house() -> Iterator[Installation]:
    """An installation that the tests start and stop; nobody chooses its password."""
    made = Installation(LOOKALIKE_DEMO="0", LOOKALIKE_RUNTIME="openvino")
    del made.environment["LOOKALIKE_ADMIN_PASSWORD"]
    data = made.data / "parent" / LONG_NAME / HARD_NAME
    assert len(str(data)) > 108
    made.environment["LOOKALIKE_DATA_DIR"] = str(data)
    yield made
    for process in orphans_of(made):
        process.kill()
    shutil.rmtree(runtime_dir(data), ignore_errors=True)
    made.remove()


def _start(house: Installation) -> None:
    """Start it unless the test before has left it running."""
    if house.ready() is None:
        house.start()


def _data(house: Installation) -> Path:
    return Path(house.environment["LOOKALIKE_DATA_DIR"])


def _said(house: Installation) -> str:
    """What `serve` has printed since its last start."""

    def check() -> str | None:
        text = house.output.read_text().rpartition("Preparing the database")[2]
        return text if "Stop " in text else None

    return wait_until(check, "serve does not say where it is")


def _password_file(house: Installation) -> Path:
    return _data(house) / "admin-password"


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


def test_the_first_start_says_all_that_one_needs(house: Installation) -> None:
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
    # All state is in the folder that was named, and nothing beside it.
    parent = house.data / "parent"
    assert {path.name for path in _data(house).iterdir()} >= {"db.sqlite3", "milvus", "redis"}
    assert [path.name for path in parent.iterdir()] == [LONG_NAME]
    assert [path.name for path in (parent / LONG_NAME).iterdir()] == [HARD_NAME]


def test_a_killed_supervisor_leaves_nobody_behind_and_nothing_lost(house: Installation) -> None:
    _start(house)
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
    assert (_data(house) / "files").is_dir()


def test_a_child_that_keeps_dying_stops_everything(house: Installation) -> None:
    """With its reason: never half an application."""
    _start(house)

    def ended() -> bool:
        with contextlib.suppress(psutil.Error):
            _kill_beat(house)
        return house.serve.poll() is not None

    wait_until(ended, "serve goes on although beat keeps dying")
    assert house.serve.returncode not in (0, None)
    printed = house.output.read_text()
    assert "Lookalike has stopped: 'beat' keeps dying." in printed
    assert f"The end of its log, {_data(house)}/log/beat.log:\n  " in printed
    assert "Traceback" not in printed
    wait_for_nobody(house)


def _kill_beat(installation: Installation) -> None:
    for child in psutil.Process(installation.serve.pid).children():
        if {"celery", "beat"} <= set(child.cmdline()):
            child.kill()
