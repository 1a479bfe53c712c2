"""The web process never loads the model's libraries, whatever it is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.installation import ROOT, Client, Installation

HEAVY = {"torch", "torchvision", "timm", "cv2", "openvino", "onnxruntime", "worker"}
REQUESTS = Path(__file__).with_name("web_requests.py")


@pytest.fixture(scope="module")
def loaded(installation: Installation, demo_files: list[Path]) -> dict[str, list[str]]:
    """Start the web application as gunicorn does, ask it for everything; what did it import?"""
    done = subprocess.run(
        [sys.executable, str(REQUESTS), installation.key("write"), str(demo_files[0])],
        cwd=ROOT,
        env=installation.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_every_request_worked(loaded: dict[str, list[str]]) -> None:
    """Otherwise what follows would say little."""
    assert loaded["failed"] == []
    assert {"django", "pymilvus", "redis", "celery", "embeddings"} <= set(loaded["modules"])


def test_no_heavy_library_is_imported(loaded: dict[str, list[str]]) -> None:
    assert set(loaded["modules"]) & HEAVY == set()


def test_no_heavy_library_is_in_the_memory_of_the_running_server(
    installation: Installation, anyone: Client, demo_files: list[Path]
) -> None:
    for path in demo_files[:4]:
        assert anyone.search(path.read_bytes(), dataset="demo").status_code == 200
    master = installation.process("web")
    for process in [master, *master.children()]:
        assert _libraries(process) & HEAVY == set()
    # What runs the model is seen in this way.
    assert _libraries(installation.process("query")) & HEAVY


def _libraries(process: psutil.Process) -> set[str]:
    """Return the packages whose compiled parts this process has mapped."""
    mapped = [Path(one.path).parts for one in process.memory_maps()]
    return {parts[parts.index("site-packages") + 1] for parts in mapped if "site-packages" in parts}
