"""A real vector server per test that asks for one, on a Unix socket in a short folder."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from harness.installation import ROOT
from searchapp.infra.vectors.errors import VectorsUnavailable
from searchapp.infra.vectors.store import VectorStore

START_SECONDS = 60


class Launcher:
    """Our Milvus Lite server as a process, which tests start, stop and kill."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.socket = folder / "m.sock"
        self.uri = f"unix:{self.socket}"
        self.process: subprocess.Popen[str] | None = None

    def command(self, *, data: Path | None = None, uri: str | None = None) -> list[str]:
        module = [sys.executable, "-m", "searchapp.infra.vectors.lite.server"]
        return [*module, "--data-dir", str(data or self.data), "--uri", uri or self.uri]

    def start(self) -> None:
        self.process = subprocess.Popen(self.command(), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        probe = VectorStore(self.uri)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                probe.ping()
                break
            except VectorsUnavailable:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    pytest.fail(f"no server: {self.process.communicate()[1]}")
                time.sleep(0.05)
        probe.close()

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM; return the exit code and what the server wrote to standard error."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        code = self.process.returncode
        self.process = None
        return code, errors

    def refused(self, *, data: Path | None = None, uri: str | None = None) -> str:
        """Run a server that must not start; return its one sentence."""
        result = subprocess.run(
            self.command(data=data, uri=uri), cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert result.returncode == 1, result.stderr
        assert "Traceback" not in result.stderr
        return result.stderr.strip().splitlines()[-1]


@contextmanager
def prepared_launcher() -> Iterator[Launcher]:
    # Not pytest's tmp_path: a Unix socket path ends at 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="lk"))
    milvus = Launcher(folder)
    try:
        yield milvus
    finally:
        if milvus.process is not None:
            milvus.kill()
        shutil.rmtree(folder)


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """A launcher that is not running, with an empty data directory."""
    with prepared_launcher() as milvus:
        yield milvus


@pytest.fixture
def server(launcher: Launcher) -> Launcher:
    """A running server with no collections."""
    launcher.start()
    return launcher


@pytest.fixture
def store(server: Launcher) -> Iterator[VectorStore]:
    """A store at the running `server`."""
    vector_store = VectorStore(server.uri)
    yield vector_store
    vector_store.close()


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Launcher]:
    """A running server for all tests that neither stop nor restart it."""
    with prepared_launcher() as milvus:
        milvus.start()
        yield milvus


@pytest.fixture
def shared_store(shared_server: Launcher) -> Iterator[VectorStore]:
    """A store at the `shared_server`, emptied before the test."""
    vector_store = VectorStore(shared_server.uri)
    for name in vector_store.collections():
        vector_store.drop(name)
    yield vector_store
    vector_store.close()


def random_vectors(rows: int, dimension: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return (rows, dimension) float32 vectors of unequal lengths."""
    return np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)
