"""A separate virtual environment for Towhee, created once in the cache folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.report import NotHere
from harness.installation import ROOT

VERSION = "1.1.3"
# Towhee imports pkg_resources, which later versions of setuptools do not have.
_PACKAGES = (f"towhee=={VERSION}", "setuptools<81")


def cache() -> Path:
    """The folder for what benchmarks install: under `XDG_CACHE_HOME`, ~/.cache by default."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lookalike-benchmarks"


def towhee_python(folder: Path | None = None) -> str:
    """Return the Python of an environment that has Towhee, and torch and timm from this one.

    Created in `folder` (in `cache()` by default) if it does not exist. Raises `NotHere` when
    Towhee cannot be installed or imported.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = (folder or cache()) / f"towhee-{VERSION}-python-{version}"
    python, ready = str(place / "bin" / "python"), place / "ready"
    try:
        if not ready.exists():
            _call(sys.executable, "-m", "venv", "--clear", str(place))
            _call(python, "-m", "pip", "install", "--quiet", *_PACKAGES)
        # After its own packages, so that Towhee's requirements take precedence; written each time,
        # because this environment may have moved.
        borrowed = place / "lib" / f"python{version}" / "site-packages" / "borrowed.pth"
        borrowed.write_text(f"{sysconfig.get_path('purelib')}\n")
        # timm as the library imports it: also where torchvision comes without its operators.
        _call(python, "-c", "from embeddings.models.timm_import import timm; timm(); import towhee")
        ready.touch()
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", "") or str(error)
        raise NotHere(
            f"Towhee {VERSION} is left out, because it cannot be installed here: "
            f"{output.strip().splitlines()[-1]}"
        ) from error
    return python


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
