"""`manage.py serve` as a user meets it: in a terminal, with the variables that they set."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.installation import ROOT, Installation, clean_environment, free_port, wait_until

Ends = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short name: sockets are put below it."""
    made = Path(tempfile.mkdtemp(prefix="lk-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def ends(folder: Path) -> Ends:
    """Run `manage.py serve` with these variables where it must stop by itself."""

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        given = {"LOOKALIKE_DATA_DIR": str(folder / "data"), "PORT": str(free_port())} | variables
        done = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=clean_environment(**given),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode != 0
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


def processes_of(installation: Installation) -> list[psutil.Process]:
    """Return every living process that was started for this installation, orphans included.

    Each has inherited the data folder in its environment.
    """
    data = installation.environment["LOOKALIKE_DATA_DIR"]
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("LOOKALIKE_DATA_DIR") == data:
                found.append(process)
        except psutil.Error:
            continue
    return found


def orphans_of(installation: Installation) -> list[psutil.Process]:
    """Return those that live although their supervisor is dead."""
    return [] if installation.serve.poll() is None else processes_of(installation)


def wait_for_nobody(installation: Installation) -> None:
    """Wait until no process of the installation is left."""

    def check() -> bool:
        return not processes_of(installation)

    try:
        wait_until(check, "processes of the installation go on")
    except AssertionError as error:
        left = [" ".join(process.cmdline()) for process in processes_of(installation)]
        raise AssertionError(f"{error}: {left}") from None


def sockets(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_socket()]
