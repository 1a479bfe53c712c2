"""A whole running application, started the way its users start it: `manage.py serve`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import requests

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "correct-horse-battery"  # of `admin`
READY_SECONDS = 180  # patience, not a measurement: the machine may be busy
_OURS = ("LOOKALIKE_", "DATABASE_", "REDIS_", "MILVUS_", "STORAGE_", "AWS_", "DJANGO_")
_OURS_WHOLE = {"HOST", "PORT", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"}
# `make test` tells the makes that it starts that they are not the first; the tests' own are.
_OF_MAKE = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}


def clean_environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without the variables that the application reads."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OURS) and name not in _OURS_WHOLE | _OF_MAKE
    }
    return environment | changes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(check: Callable[[], T | None], what: str, seconds: float = READY_SECONDS) -> T:
    """Return the first true value of `check`; fail with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := check():
            return value
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")


class Installation:
    """One data folder, one port, one `manage.py serve`."""

    admin_password = PASSWORD

    def __init__(self, **environment: str) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="lk-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = clean_environment(
            LOOKALIKE_DATA_DIR=str(self.data),
            LOOKALIKE_ADMIN_PASSWORD=PASSWORD,
            PORT=str(self.port),
            **environment,
        )
        self.output = self.data / "serve.out"
        self._serve: subprocess.Popen[bytes] | None = None
        self._keys: dict[tuple[str, str], str] = {}

    def start(self) -> Installation:
        with self.output.open("ab") as output:
            self._serve = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.wait_ready()
        return self

    @property
    def serve(self) -> subprocess.Popen[bytes]:
        assert self._serve is not None
        return self._serve

    def ready(self) -> dict[str, Any] | None:
        """Return the body of /readyz when it says 200."""
        try:
            response = requests.get(f"{self.url}/readyz", timeout=10)
        except requests.RequestException:
            return None
        return response.json() if response.status_code == 200 else None

    def wait_ready(self) -> None:
        def check() -> bool:
            if self.serve.poll() is not None:
                raise AssertionError(f"serve has ended:\n{self.output.read_text()}")
            return self.ready() is not None

        try:
            wait_until(check, "the application is not ready")
        except AssertionError:
            self.show_logs()
            raise

    def wait_demo(self) -> None:
        """Wait until the whole demo gallery can be found."""

        def check() -> bool:
            demo = (self.ready() or {}).get("demo", {"ready": 0, "total": -1})
            return bool(demo["ready"] == demo["total"])

        wait_until(check, "the demo gallery is not indexed")

    def show_logs(self) -> None:
        for log in sorted((self.data / "log").glob("*.log")):
            print(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-25:]))

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` beside the installation, in the same environment."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=120,
        )

    def key(self, scope: str = "write", user: str = "admin") -> str:
        """Return a key of the user; it is made once, for a command takes seconds."""
        if (scope, user) not in self._keys:
            name = f"test {scope}"
            created = self.manage("create_api_key", name, "--user", user, "--scope", scope)
            self._keys[scope, user] = created.stdout.split()[-1]
        return self._keys[scope, user]

    def process(self, program: str) -> psutil.Process:
        """Return the running process of one of the supervisor's programs, by its command."""
        marks = {
            "redis": "valkey-server",
            "milvus": "searchapp.infra.vectors.lite.server",
            "web": "gunicorn",
            "query": "query@local",
            "ingest": "ingest@local",
            "beat": "beat",
        }

        def find() -> psutil.Process | None:
            for child in psutil.Process(self.serve.pid).children():
                try:
                    command = " ".join(child.cmdline())
                except psutil.Error:
                    continue
                if marks[program] in command and "supervise.tether" not in command:
                    return child
            return None

        return wait_until(find, f"{program} does not run", 60)

    def kill(self, program: str) -> None:
        """kill -9, as the machine would when memory runs out."""
        process = self.process(program)
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop and return the exit status."""
        if self.serve.poll() is None:
            self.serve.send_signal(how)
        return self.serve.wait(90)

    def remove(self) -> None:
        if self._serve is not None and self._serve.poll() is None:
            self.stop()
        shutil.rmtree(self.data, ignore_errors=True)


@contextmanager
def running(**environment: str) -> Iterator[Installation]:
    """A started installation that is stopped and removed in the end."""
    installation = Installation(**environment)
    try:
        yield installation.start()
    finally:
        installation.remove()


class Client:
    """A program that uses the REST API."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.base = f"{url}/api/v1"
        self.session = requests.Session()
        if key is not None:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.base + path, timeout=60, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(self.base + path, timeout=120, **options)

    def patch(self, path: str, **options: Any) -> requests.Response:
        return self.session.patch(self.base + path, timeout=60, **options)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.base + path, timeout=60)

    def dataset(self, name: str, visibility: str = "private") -> str:
        answer = self.post("/datasets/", json={"name": name, "visibility": visibility})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["slug"])

    def upload(self, slug: str, *files: tuple[str, bytes], **fields: str) -> dict[str, Any]:
        answer = self.post(
            f"/datasets/{slug}/images/", files=[("file", file) for file in files], data=fields
        )
        assert answer.status_code == 202, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def job(self, job: str) -> dict[str, Any]:
        return self.get(f"/jobs/{job}/").json()  # type: ignore[no-any-return]

    def finished(self, job: str, seconds: float = READY_SECONDS) -> dict[str, Any]:
        """Wait until every file of the job has its outcome and the job, a moment later, its end."""

        def check() -> dict[str, Any] | None:
            body = self.job(job)
            return body if body["state"] in ("finished", "finished_with_errors") else None

        return wait_until(check, f"job {job} does not finish", seconds)

    def search(self, picture: bytes, **fields: Any) -> requests.Response:
        return self.post("/search/", files={"image": ("query.jpg", picture)}, data=fields)
