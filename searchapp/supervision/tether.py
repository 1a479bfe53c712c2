"""Run a command that ends with its parent: `… -m searchapp.supervision.tether [options] CMD…`.

A supervisor that is killed outright cannot stop its children; on Linux the kernel then sends them
SIGTERM. With --lock, the command also waits until its predecessor, which may still be writing to
the same data, has ended: the lock is inherited by the command and ends with it. With --nice, the
command gives way to the others when the cores are busy.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_PATIENCE_SECONDS = 60.0


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies; elsewhere than on Linux, do nothing."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


def hold(path: str) -> None:
    """Take the lock at `path` for this process and what it becomes."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(handle, True)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"{path} is held by another process, which does not end.")
            time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lock")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    end_with_parent()
    if options.lock:
        hold(options.lock)
    os.nice(options.nice)
    os.execvp(options.command[0], options.command)  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main()
