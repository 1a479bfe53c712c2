"""Decoding: bytes to an upright sRGB picture, by content and within limits.

`from embeddings.operators.decode import decode` works as it always has. Pillow is imported at the
first use, so that `sniff` and `headers` stay cheap.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.operators.decode.pillow import Decoded, decode

__all__ = ["Decoded", "decode"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from embeddings.operators.decode import pillow

    return getattr(pillow, name)
