"""How many threads models compute with, for this process.

All cores that this process may use, unless told otherwise. Where several processes share the
cores, as workers do, one thread each is quicker and steadier: a model with two stalls whenever
another process holds one of its cores. `set_threads(1)` says so.
"""

import os
import sys

_threads: int | None = None


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """The number of threads that models of this process compute with."""
    return _threads or cores()


def set_threads(count: int) -> None:
    """Compute with `count` threads (1 or more), from the next model that is loaded.

    torch changes at once for every model. Raises ValueError for a count below 1.
    """
    global _threads
    if count < 1:
        raise ValueError(f"A model computes with 1 thread or more, not {count}.")
    _threads = count
    if "torch" in sys.modules:
        apply_threads()


def apply_threads() -> None:
    """Hand the number to torch (imports it)."""
    import torch

    torch.set_num_threads(threads())
