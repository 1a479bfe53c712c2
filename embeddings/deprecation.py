"""Deprecation helper for modules that moved: old import paths forward to the new ones."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def moved_module(old: str, *targets: str) -> Callable[[str], Any]:
    """Return a module-level `__getattr__` for a module whose names moved to `targets`.

    Each access emits a `DeprecationWarning` that names the new module. Private names are not
    looked up, so that probes by the import system neither warn nor import anything.
    """

    def getattr_(name: str) -> Any:
        if not name.startswith("_"):
            for target in targets:
                module = importlib.import_module(target)
                if hasattr(module, name):
                    warnings.warn(
                        f"{old}.{name} is deprecated; import it from {target}.",
                        DeprecationWarning,
                        stacklevel=2,
                    )
                    return getattr(module, name)
        raise AttributeError(f"module {old!r} has no attribute {name!r}")

    return getattr_
