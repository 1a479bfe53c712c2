"""Packages that only some of the formats need."""

import importlib
from typing import Any

from embeddings.errors import PackageMissing


def needed(module: str, package: str, purpose: str) -> Any:
    """The module, imported now. Raises `PackageMissing`, which says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PackageMissing(
            f"{purpose} needs the package {package}: pip install {package}."
        ) from error
