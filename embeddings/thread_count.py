"""The number of threads that models of this process compute with.

By default all cores available to the process. When several processes share the cores, as
workers do, one thread each is faster and steadier: a model with two threads stalls whenever
another process holds one of its cores. Use `set_threads(1)` there.
"""

import os
import sys

_threads: int | None = None


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """Return the number of threads that models of this process compute with."""
    return _threads or cores()


def set_threads(count: int) -> None:
    """Compute with `count` threads (1 or more), starting with the next model loaded.

    torch applies it to all its models at once. Raises ValueError for a count below 1.
    """
    global _threads
    if count < 1:
        raise ValueError(f"A model computes with 1 thread or more, not {count}.")
    _threads = count
    if "torch" in sys.modules:
        apply_threads()


def apply_threads() -> None:
    """Pass the number of threads to torch (imports it)."""
    import torch

    torch.set_num_threads(threads())
