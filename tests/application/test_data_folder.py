"""The life of one data folder: started, killed outright, started again, and stopped.

Its name is one that addresses, configuration files and sockets do not like.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from harness.installation import Client, Installation, running, wait_until
from searchapp.settings.paths import runtime_dir
from tests.application import census
from tests.application.conftest import orphans_of, wait_for_nobody
from tests.application.pictures import pictures

pytestmark = pytest.mark.application
HARD_NAME = "50% off + 'más' \"100%41\"#1?"
LONG_NAME = "a-folder-with-a-long-name-" * 5


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    """An installation that the tests start and stop; nobody chooses its password."""
    application = Installation(LOOKALIKE_DEMO="0", LOOKALIKE_RUNTIME="openvino")
    del application.environment["LOOKALIKE_ADMIN_PASSWORD"]
    data = application.data / "parent" / LONG_NAME / HARD_NAME
    assert len(str(data)) > 108
    application.environment["LOOKALIKE_DATA_DIR"] = str(data)
    yield application
    for process in orphans_of(application):
        process.kill()
    shutil.rmtree(runtime_dir(data), ignore_errors=True)
    application.remove()


def _start(installed: Installation) -> None:
    """Start it unless the test before has left it running."""
    if installed.ready() is None:
        installed.start()


def _data(installed: Installation) -> Path:
    return Path(installed.environment["LOOKALIKE_DATA_DIR"])


def _said(installed: Installation) -> str:
    """What `serve` has printed since its last start."""

    def check() -> str | None:
        text = installed.output.read_text().rpartition("Preparing the database")[2]
        return text if "Stop " in text else None

    return wait_until(check, "serve does not say where it is")


def _password_file(installed: Installation) -> Path:
    return _data(installed) / "admin-password"


def _login(installed: Installation, password: str) -> requests.Response:
    visitor = requests.Session()
    page = visitor.get(f"{installed.url}/login/", timeout=60)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None
    return visitor.post(
        f"{installed.url}/login/",
        data={"csrfmiddlewaretoken": token[1], "username": "admin", "password": password},
        timeout=60,
    )


def _is_in(answer: requests.Response) -> bool:
    return answer.status_code == 200 and not answer.url.rstrip("/").endswith("/login")


def test_the_first_start_says_all_that_one_needs(installed: Installation) -> None:
    installed.start()
    printed = _said(installed)
    assert f"Address   {installed.url}/\n" in printed
    assert "Name      admin\n" in printed
    assert "Stop      Ctrl-C\n" in printed
    password = re.search(r"Password  (\S+)", printed)
    assert password is not None
    assert _is_in(_login(installed, password[1]))
    assert not _is_in(_login(installed, password[1] + "x"))
    assert _password_file(installed).read_text().strip() == password[1]
    assert _password_file(installed).stat().st_mode & 0o077 == 0
    # All state is in the folder that was named, and nothing beside it.
    parent = installed.data / "parent"
    assert {path.name for path in _data(installed).iterdir()} >= {"db.sqlite3", "milvus", "redis"}
    assert [path.name for path in parent.iterdir()] == [LONG_NAME]
    assert [path.name for path in (parent / LONG_NAME).iterdir()] == [HARD_NAME]


def test_a_killed_supervisor_leaves_nobody_behind_and_nothing_lost(installed: Installation) -> None:
    _start(installed)
    owner = Client(installed.url, installed.key("write"))
    slug = owner.dataset("kept")
    files = pictures(12, seed=400)
    ids = {item["name"]: item["id"] for item in owner.upload(slug, *files.items())["items"]}

    installed.serve.kill()
    installed.serve.wait(20)
    wait_for_nobody(installed)
    installed.start()

    printed = _said(installed)
    assert f"Password  the one in {_password_file(installed)}\n" in printed
    password = _password_file(installed).read_text().strip()
    assert password not in printed
    assert _is_in(_login(installed, password))
    counts = census.settled(owner, slug)
    assert counts["ready"] == counts["total"] == len(files)
    for name, picture in list(files.items())[:3]:
        best = owner.search(picture, dataset=slug, top_k=1).json()["results"][0]
        assert best["image"]["id"] == ids[name]
    assert (_data(installed) / "files").is_dir()


def test_a_child_that_keeps_dying_stops_everything(installed: Installation) -> None:
    """With its reason: never half an application."""
    _start(installed)

    def ended() -> bool:
        with contextlib.suppress(psutil.Error):
            _kill_beat(installed)
        return installed.serve.poll() is not None

    wait_until(ended, "serve goes on although beat keeps dying")
    assert installed.serve.returncode not in (0, None)
    printed = installed.output.read_text()
    assert "Lookalike has stopped: 'beat' keeps dying." in printed
    assert f"The end of its log, {_data(installed)}/log/beat.log:\n  " in printed
    assert "Traceback" not in printed
    wait_for_nobody(installed)


def _kill_beat(installation: Installation) -> None:
    for child in psutil.Process(installation.serve.pid).children():
        if {"celery", "beat"} <= set(child.cmdline()):
            child.kill()


@pytest.mark.long
def test_a_new_machine_measures_its_runtimes_first(tmp_path: Path) -> None:
    with running(EMBEDDINGS_CACHE=str(tmp_path)) as application:
        application.wait_demo()
        owner = Client(application.url, application.key("write"))
        (index,) = owner.get("/datasets/demo/indexes/").json()["results"]
    (measured,) = [json.loads(path.read_text()) for path in tmp_path.glob("measured-*.json")]
    agreeing = [one for one in measured if one["mean_share"] <= 0.5 and one["p99_share"] <= 1]
    quickest = min(agreeing, key=lambda one: one["milliseconds"])
    assert (index["runtime"], index["precision"]) == (quickest["runtime"], quickest["precision"])
