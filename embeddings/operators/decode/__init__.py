"""Image decoding: bytes to an upright sRGB picture, detected by content and within limits.

Pillow is imported at first use of `decode`, so that importing `sniff` and `headers` stays cheap.
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
