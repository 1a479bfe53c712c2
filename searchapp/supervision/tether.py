"""Run a command that ends with its parent: `… -m searchapp.supervision.tether [options] CMD…`.

A supervisor that is killed with SIGKILL cannot stop its children. On Linux the kernel then sends
them SIGTERM. With --lock, the command also waits until its predecessor, which may still be writing
to the same data, has ended: the command inherits the lock and releases it when it ends. With
--nice, the command has a lower priority than the others when the cores are busy.
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
    """Request SIGTERM from the kernel when the parent dies; only on Linux."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request
        sys.exit(1)


def hold(path: str) -> None:
    """Acquire the lock at `path` for this process and the command that replaces it.

    Exits with a message when the lock is not available after a minute.
    """
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
    os.execvp(options.command[0], options.command)  # noqa: S606 (no shell is needed)


if __name__ == "__main__":
    main()
