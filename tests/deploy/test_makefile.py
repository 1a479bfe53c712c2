"""The Makefile's contract, as far as it can be seen without installing anything."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from harness.installation import ROOT, clean_environment

TARGETS = ["run", "check", "test", "test-long", "lint", "format", "bench", "clean"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with nothing but the Makefile and the lists of requirements."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("arguments", [[], ["help"]])
def test_help_lists_every_command(arguments: list[str], clone: Path) -> None:
    done = _make(clone, *arguments)
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert [name for name in listed if name != "help"] == TARGETS
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())


@pytest.mark.parametrize("target", ["run", "check", "test", "test-long"])
def test_an_interpreter_that_is_not_there_is_named(target: str, clone: Path) -> None:
    done = _make(clone, target, "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "PYTHON: there is no interpreter 'no-such-python'; set PYTHON to" in done.stdout
    assert not (clone / ".venv").exists()


def test_an_interpreter_that_is_too_old_is_named(clone: Path) -> None:
    old = clone / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")  # as `sys.exit(sys.version_info < (3, 11))` does
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    done = _make(clone, "run", f"PYTHON={old}")
    assert done.returncode != 0
    assert f"PYTHON: '{old}' is older than Python 3.11; set PYTHON to a later one." in done.stdout
    assert not (clone / ".venv").exists()


def test_clean_keeps_the_data(clone: Path) -> None:
    for name in (".venv", "var", ".mypy_cache"):
        os.mkdir(clone / name)
    assert _make(clone, "clean").returncode == 0
    assert not (clone / ".venv").exists()
    assert not (clone / ".mypy_cache").exists()
    assert (clone / "var").is_dir()
