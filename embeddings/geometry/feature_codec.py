"""Binary serialization of local features: compact, versioned, and safe to read."""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embeddings.errors import EmbeddingsError

_MAGIC = b"LKLF"
# Magic, version, width, height, compression trace (255: unknown), number of points, length of the
# small picture. A CRC-32 of all preceding bytes ends the data.
_HEAD = struct.Struct("<4sBIIBHH")
_CRC = struct.Struct("<I")
_POINT = np.dtype([("place", "<u2", 2), ("size", "u1"), ("angle", "u1")])
_UNKNOWN = 255
_CODES = 32  # bytes of a descriptor: 128 values of 2 bits
VERSION = 1
MAX_POINTS = 1024
MAX_SMALL_SIDE = 256  # pixels, the longest side of a small picture
_MAX_SIDE = 1 << 30  # pixels of a picture
_MIN_SIZE = 1 / 1024  # of the long side, the size of the smallest point
_QUALITY = 75  # JPEG quality of the small picture
_STEPS = 24  # quantization steps per doubling of a point's size

_OPENED = ((np.arange(256, dtype=np.uint8)[:, None] >> np.array([0, 2, 4, 6])) & 3).astype(np.uint8)


class FeatureParts(NamedTuple):
    """The parts of local features; see `LocalFeatures`."""

    width: int
    height: int
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    small: NDArray[np.uint8]
    compression: int | None


def rounded(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the points as they are after a round trip."""
    return _points(_kept_points(points))


def shown(small: Image.Image) -> tuple[bytes, NDArray[np.uint8]]:
    """Return a small RGB picture as JPEG bytes, and as pixels after a round trip."""
    with io.BytesIO() as file:
        small.save(file, "JPEG", quality=_QUALITY, exif=b"", icc_profile=b"")
        data = file.getvalue()
    return data, _opened(data)


def pack(parts: FeatureParts, small: bytes) -> bytes:
    """Serialize the parts; `small` is the picture as `shown` returned it."""
    head = _HEAD.pack(
        _MAGIC,
        VERSION,
        parts.width,
        parts.height,
        _UNKNOWN if parts.compression is None else parts.compression,
        len(parts.points),
        len(small),
    )
    codes = parts.descriptors.reshape(-1, _CODES, 4)
    packed = codes[..., 0] | codes[..., 1] << 2 | codes[..., 2] << 4 | codes[..., 3] << 6
    body = head + _kept_points(parts.points).tobytes() + packed.tobytes() + small
    return body + _CRC.pack(zlib.crc32(body))


def unpack(data: bytes) -> tuple[FeatureParts, bytes]:
    """Read what `pack` wrote. Raises EmbeddingsError for anything else.

    Codes: `features_damaged`, and `features_version` for data of another version.
    """
    if len(data) < _HEAD.size + _CRC.size or not data.startswith(_MAGIC):
        raise _damaged("they do not begin as such")
    _, version, width, height, trace, count, length = _HEAD.unpack_from(data)
    if version != VERSION:
        raise EmbeddingsError(
            "features_version",
            f"These local features are of version {version}, not {VERSION}; make them again.",
        )
    if zlib.crc32(data[: -_CRC.size]) != _CRC.unpack(data[-_CRC.size :])[0]:
        raise _damaged("their check sum is another")
    per_point = _POINT.itemsize + _CODES
    if count > MAX_POINTS or len(data) != _HEAD.size + count * per_point + length + _CRC.size:
        raise _damaged("their length is another")
    if not (0 < width < _MAX_SIDE and 0 < height < _MAX_SIDE):
        raise _damaged("their picture has no size")
    if trace > 100 and trace != _UNKNOWN:
        raise _damaged("their trace of compression is more than all")
    points = _points(np.frombuffer(data, _POINT, count, _HEAD.size))
    start = _HEAD.size + count * _POINT.itemsize
    packed = np.frombuffer(data, np.uint8, count * _CODES, start).reshape(count, _CODES)
    small = data[start + count * _CODES : -_CRC.size]
    compression = None if trace == _UNKNOWN else trace
    descriptors = _OPENED[packed].reshape(count, 4 * _CODES)
    return FeatureParts(width, height, points, descriptors, _opened(small), compression), small


def _kept_points(points: NDArray[np.float32]) -> NDArray[np.void]:
    packed = np.zeros(len(points), _POINT)
    packed["place"] = np.clip(np.round(points[:, :2] * 65535), 0, 65535)
    sizes = np.log2(np.maximum(points[:, 2], _MIN_SIZE) / _MIN_SIZE)
    packed["size"] = np.clip(np.round(sizes * _STEPS), 0, 255)
    packed["angle"] = np.round(points[:, 3] * (256 / 360)).astype(np.int64) % 256
    return packed


def _points(packed: NDArray[np.void]) -> NDArray[np.float32]:
    points = np.empty((len(packed), 4), np.float32)
    points[:, :2] = packed["place"] / 65535
    points[:, 2] = _MIN_SIZE * 2 ** (packed["size"] / _STEPS)
    points[:, 3] = packed["angle"] * (360 / 256)
    return points


def _opened(data: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as opened:
            if max(opened.size) > MAX_SMALL_SIDE or opened.mode != "RGB":
                raise _damaged("their small picture is none")
            return np.array(opened)
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged("their small picture cannot be read") from error


def _damaged(why: str) -> EmbeddingsError:
    return EmbeddingsError("features_damaged", f"These are no local features: {why}.")
