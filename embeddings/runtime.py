"""How many threads the model computes with, for this process.

One by default: where several processes share the cores, as workers do, a model with two
threads stalls whenever another process holds one of its cores. Raise it with `set_threads`
in a process that has the machine to itself.
"""

import sys

DEFAULT_THREADS = 1

_threads = DEFAULT_THREADS


def threads() -> int:
    """The number of threads that models of this process compute with."""
    return _threads


def set_threads(count: int) -> None:
    """Compute with `count` threads (1 or more), at once and for every model loaded later.

    Raises ValueError for a count below 1.
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

    torch.set_num_threads(_threads)
