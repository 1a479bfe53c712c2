"""Detection of JPEG compression in the pixels of a picture, by its 8 x 8 block grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BLOCK = 8  # pixels a side
_WINDOW = 256  # pixels per side that are analysed; a multiple of the block
# A coefficient (levels of 255) this small is rounded away by almost any JPEG, except by very fine
# ones.
_NONE = 1.0
_FINE_FROM = 3  # half waves per block, across and down together
# Flat and tiny pictures are not informative.
_MIN_BLOCKS = 12
_MAX_VANISHED_ACROSS = 0.97  # share of high frequencies, in blocks shifted against the grid


def _cosines() -> NDArray[np.float32]:
    row, column = np.mgrid[0:_BLOCK, 0:_BLOCK]
    basis = np.cos((2 * column + 1) * row * np.pi / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    basis[0] /= np.sqrt(2)
    scaled: NDArray[np.float32] = basis.astype(np.float32)
    return scaled


_BASIS = _cosines()
_FINE = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK)) >= _FINE_FROM


def compression(picture: Image.Image) -> int | None:
    """Return how strongly an RGB picture was compressed by JPEG: 0 to 100, None for unknown.

    JPEG rounds the high frequencies of each 8 x 8 block, so that many vanish in blocks on its
    grid but not in blocks shifted against it. The picture must have the size at which it was
    saved. Flat and tiny pictures give None.
    """
    left = max(0, (picture.width - _WINDOW) // 2) // _BLOCK * _BLOCK
    top = max(0, (picture.height - _WINDOW) // 2) // _BLOCK * _BLOCK
    right, bottom = min(picture.width, left + _WINDOW), min(picture.height, top + _WINDOW)
    grey = np.asarray(picture.crop((left, top, right, bottom)).convert("L"), np.float32)
    on_grid, across = _vanished(grey), _vanished(grey[_BLOCK // 2 :, _BLOCK // 2 :])
    if on_grid is None or across is None or across > _MAX_VANISHED_ACROSS:
        return None
    return round(100 * min(1.0, max(0.0, (on_grid - across) / (1 - across))))


def _vanished(grey: NDArray[np.float32]) -> float | None:
    """Return the share of high frequencies missing in blocks from the upper left corner on."""
    rows, columns = grey.shape[0] // _BLOCK, grey.shape[1] // _BLOCK
    if rows * columns < _MIN_BLOCKS:
        return None
    cut = grey[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    waves = _BASIS @ cut.transpose(0, 2, 1, 3) @ _BASIS.T
    return float((np.abs(waves[:, :, _FINE]) < _NONE).mean())
