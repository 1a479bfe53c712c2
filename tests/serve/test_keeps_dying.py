"""A child that keeps dying stops everything, with its reason: never half an application."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from harness.installation import Installation, running, wait_until
from tests.serve.conftest import Ends, wait_for_nobody


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


def test_what_is_killed_again_and_again_stops_everything() -> None:
    with running(LOOKALIKE_DEMO="0") as made:

        def ended() -> bool:
            with contextlib.suppress(psutil.Error):
                _kill_beat(made)
            return made.serve.poll() is not None

        wait_until(ended, "serve goes on although beat keeps dying")
        assert made.serve.returncode not in (0, None)
        said = made.output.read_text()
        assert "Lookalike has stopped: 'beat' keeps dying." in said
        assert f"The end of its log, {made.data}/log/beat.log:\n  " in said
        assert "Traceback" not in said
        wait_for_nobody(made)


def _kill_beat(made: Installation) -> None:
    for child in psutil.Process(made.serve.pid).children():
        if {"celery", "beat"} <= set(child.cmdline()):
            child.kill()
