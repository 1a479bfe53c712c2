"""The same filters on a real Milvus server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec

import pytest

from harness.installation import ROOT, clean_environment


@pytest.mark.long
def test_a_server_finds_what_the_rows_say() -> None:
    """It listens on every interface: so it has a network of its own."""
    if find_spec("milvus") is None:
        pytest.fail("This test needs the package milvus, which `make test-long` installs.")
    if shutil.which("unshare") is None:
        pytest.fail("This test needs `unshare`, of Debian's package util-linux.")
    folder = tempfile.mkdtemp(prefix="lk")
    command = [
        "unshare",
        "-rn",
        sys.executable,
        "-m",
        "tests.services.filters.milvus_server",
        folder,
    ]
    try:
        ran = subprocess.run(
            command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=300
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert int(ran.stdout.rpartition(":")[2]) > 50
