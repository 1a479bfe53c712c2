"""A start that cannot succeed says in one sentence why, and stops."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.installation import Installation
from tests.application.conftest import Ends

pytestmark = pytest.mark.application


def test_a_wrong_variable_is_named_and_a_secret_not_repeated(ends: Ends) -> None:
    """All other wrong values are tried in process, in `tests/settings`."""
    done = ends(LOOKALIKE_ADMIN_PASSWORD="pa55wd")
    (line,) = done.stderr.splitlines()
    assert "LOOKALIKE_ADMIN_PASSWORD must have at least 8" in line
    assert line.endswith(".")
    assert "pa55wd" not in line
    assert "Starting" not in done.stdout


def test_a_host_of_another_machine_is_named(ends: Ends) -> None:
    (line,) = ends(HOST="192.0.2.1").stderr.splitlines()
    assert "cannot listen on HOST 192.0.2.1, PORT" in line
    assert line.endswith(".")


def test_a_data_folder_whose_name_cannot_work_is_not_made(folder: Path, ends: Ends) -> None:
    (line,) = ends(LOOKALIKE_DATA_DIR=str(folder / "pictures #1")).stderr.splitlines()
    assert "LOOKALIKE_DATA_DIR must" in line
    assert list(folder.iterdir()) == []


@pytest.mark.long
def test_what_cannot_start_stops_everything(folder: Path, ends: Ends) -> None:
    data = folder / "data"
    data.mkdir(mode=0o700)
    (data / "milvus").write_text("this is no folder")
    done = ends(LOOKALIKE_DEMO="0")
    assert "Lookalike has stopped: 'milvus' keeps dying." in done.stderr
    assert f"The end of its log, {data}/log/milvus.log:" in done.stderr
    assert f"The data directory {data}/milvus cannot be used" in done.stderr
    assert "Lookalike is ready" not in done.stdout
    assert (data / "milvus").read_text() == "this is no folder"


def test_the_data_folder_is_a_file(folder: Path, ends: Ends) -> None:
    file = folder / "file"
    file.write_text("")
    (line,) = ends(LOOKALIKE_DATA_DIR=str(file)).stderr.splitlines()
    assert f"LOOKALIKE_DATA_DIR: the folder {file} cannot be made" in line
    assert file.read_text() == ""


def test_a_taken_port_is_named(ends: Ends) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (line,) = ends(PORT=str(port)).stderr.splitlines()
    assert f"PORT {port}: Address already in use. Set PORT or HOST to another one." in line


def test_a_second_start_on_the_same_data_says_so(installation: Installation, ends: Ends) -> None:
    (line,) = ends(LOOKALIKE_DATA_DIR=str(installation.data)).stderr.splitlines()
    assert "is running already on this data" in line
    assert f"{installation.url} (process {installation.serve.pid})" in line
    assert "LOOKALIKE_DATA_DIR" in line
    assert installation.ready() is not None
