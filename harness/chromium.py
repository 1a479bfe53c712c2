"""Find a browser for the tests, or install one: `python -m harness.chromium`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The shell is Chromium without the parts that a person sees around a page.
_SHELL = "chromium-headless-shell"
_NAMES = (_SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    """Return the path of an installed Chromium or Chrome; CHROMIUM names another one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


def apt(*arguments: str, check: bool = True) -> bool:
    """Run Debian's apt-get, which takes root; returns whether it succeeded."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", *arguments]
    done = subprocess.run(command, check=check, env=environment, stdout=subprocess.DEVNULL)
    return done.returncode == 0


def install() -> None:
    """Install Debian's Chromium; the whole one where there is no shell."""
    apt("update")
    if not apt("install", "-y", _SHELL, check=False):
        apt("install", "-y", "chromium")


def main() -> None:
    if find_browser() is None and os.geteuid() == 0 and Path("/etc/debian_version").exists():
        print("Installing Chromium for the browser tests …", flush=True)
        install()
    if find_browser() is None:
        sys.exit(
            "The browser tests need Chromium or Chrome: install one (on Debian, as root: "
            "apt-get install chromium), or set CHROMIUM to its path."
        )
    print(f"Browser: {find_browser()}")


if __name__ == "__main__":
    main()
