"""Run a module of the library in a process of its own, which takes torch with it when it ends."""

import contextlib
import os
import subprocess
import sys


def run_module(name: str, *arguments: str) -> None:
    """`python -m name arguments` in this environment, in silence; wait until it has ended.

    What it keeps is all that is heard of it: where it fails, doing the same here says why.
    """
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    with contextlib.suppress(OSError):
        subprocess.run(  # noqa: S603 (this very interpreter, and a module of ours)
            [sys.executable, "-m", name, *arguments],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
