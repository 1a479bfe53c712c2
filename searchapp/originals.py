"""The one door to an image's original: kept here, or referred to where it is."""

from __future__ import annotations

from typing import BinaryIO

from searchapp import storage
from searchapp.models import Image


def open_original(image: Image) -> BinaryIO:
    """Open the file that `image` is (a part) of.

    Raises:
        FileNotFoundError: when it is not there.
    """
    return storage.open_original(image.sha256)
