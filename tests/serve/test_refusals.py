"""A start that cannot succeed says in one sentence why, and stops."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.installation import Installation
from tests.serve.conftest import Ends

WRONG = [
    ("PORT", "abc", "PORT must be a whole number from 1 to 65535, not 'abc'."),
    ("PORT", "0", "PORT must be a whole number from 1 to 65535, not '0'."),
    ("PORT", "70000", "PORT must be a whole number from 1 to 65535, not '70000'."),
    ("HOST", "http://localhost", "HOST must be a host name or an address to listen on"),
    ("HOST", "192.0.2.1", "cannot listen on HOST 192.0.2.1, PORT"),
    ("LOOKALIKE_ADMIN_PASSWORD", "short", "LOOKALIKE_ADMIN_PASSWORD must have at least 8"),
    ("LOOKALIKE_DEMO", "maybe", "LOOKALIKE_DEMO must be 1 or 0, not 'maybe'."),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG)
def test_a_wrong_value_is_named(name: str, value: str, sentence: str, ends: Ends) -> None:
    done = ends(**{name: value})
    (line,) = done.stderr.splitlines()
    assert sentence in line
    assert line.endswith(".")
    assert "Starting" not in done.stdout


def test_a_secret_is_not_repeated(ends: Ends) -> None:
    assert "pa55wd" not in ends(LOOKALIKE_ADMIN_PASSWORD="pa55wd").stderr


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
