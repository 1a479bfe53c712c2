"""kill -9, as the machine would when memory runs out."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from harness.installation import READY_SECONDS, wait_until


def kill_tree(process: psutil.Process) -> None:
    """Kill a process and all that it started before any of them can react."""
    family = [*process.children(recursive=True), process]
    for member in family:
        member.suspend()
    for member in family:
        member.kill()
    psutil.wait_procs(family, 20)


def kill_child(process: psutil.Process) -> None:
    """Kill one of those that a process has started."""
    child = wait_until(process.children, f"{process} has no children")[0]
    child.kill()
    psutil.wait_procs([child], 20)


def kill_one(process: psutil.Process) -> None:
    """Kill a process; what it leaves behind must end by itself."""
    orphans = process.children(recursive=True)
    process.kill()
    _, alive = psutil.wait_procs([process, *orphans], READY_SECONDS)
    assert not alive


# Ingest workers first: their claims take longest to lapse.
DISASTERS: dict[str, tuple[str, Callable[[psutil.Process], None]]] = {
    "ingest worker, all of it": ("ingest", kill_tree),
    "ingest worker, one child": ("ingest", kill_child),
    "Milvus": ("milvus", kill_one),
    "Redis": ("redis", kill_one),
    "web server, its master": ("web", kill_one),
    "web server, one child": ("web", kill_child),
}
