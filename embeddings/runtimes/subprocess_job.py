"""Subprocess runner for modules of the library, so that torch's memory is released at the end."""

import contextlib
import os
import subprocess
import sys


def run_module(name: str, *arguments: str) -> None:
    """Run `python -m name arguments` in this environment, without output, and wait for its end.

    Its only result is what it writes to the cache: errors show when this process does the same.
    """
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    with contextlib.suppress(OSError):
        subprocess.run(  # noqa: S603 (this interpreter, and a module of this package)
            [sys.executable, "-m", name, *arguments],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
