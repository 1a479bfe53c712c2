"""Names of data folders that addresses, configuration files and sockets do not like."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.installation import Client, Installation
from searchapp.settings.paths import runtime_dir
from tests.serve.conftest import Ends, wait_for_nobody
from tests.survival import census
from tests.survival.pictures import pictures

HARD_NAME = "50% off + 'más' \"100%41\"#1?"
LONG_NAME = "a-folder-with-a-long-name-" * 5


@contextmanager
def _in(folder: Path) -> Iterator[Installation]:
    made = Installation(LOOKALIKE_DEMO="0")
    made.environment["LOOKALIKE_DATA_DIR"] = str(folder)
    try:
        yield made.start()
    finally:
        made.remove()
        shutil.rmtree(runtime_dir(folder), ignore_errors=True)


def test_a_long_and_hard_name_works(folder: Path) -> None:
    data = folder / LONG_NAME / HARD_NAME
    assert len(str(data)) > 108
    with _in(data) as made:
        owner = Client(made.url, made.key("write"))
        slug = owner.dataset("somewhere")
        files = pictures(3, seed=500)
        items = owner.upload(slug, *files.items())["items"]
        assert census.settled(owner, slug)["ready"] == len(files)
        for item in items:
            best = owner.search(files[item["name"]], dataset=slug, top_k=1).json()["results"][0]
            assert best["image"]["id"] == item["id"]
        assert made.stop() == 0
        wait_for_nobody(made)
    # All state is in the folder that was named, and nothing beside it.
    assert {path.name for path in data.iterdir()} >= {"db.sqlite3", "files", "milvus", "redis"}
    assert [path.name for path in folder.iterdir()] == [LONG_NAME]
    assert [path.name for path in (folder / LONG_NAME).iterdir()] == [HARD_NAME]


@pytest.mark.parametrize("name", ["pictures #1", "pictures ;1", "pictures\n1"])
def test_a_name_that_cannot_work_is_refused(name: str, folder: Path, ends: Ends) -> None:
    (line,) = ends(LOOKALIKE_DATA_DIR=str(folder / name)).stderr.splitlines()
    assert "LOOKALIKE_DATA_DIR must" in line
    assert list(folder.iterdir()) == []
