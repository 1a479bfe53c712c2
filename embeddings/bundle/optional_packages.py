"""Imports of optional packages that only some bundle formats need."""

import importlib
from typing import Any

from embeddings.errors import PackageMissing


def needed(module: str, package: str, purpose: str) -> Any:
    """Import a module. Raises `PackageMissing`, naming the package, when it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PackageMissing(
            f"{purpose} needs the package {package}: pip install {package}."
        ) from error
