"""Color conversion: any pixel mode to sRGB on a white background."""

import functools
import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

# Real profiles are smaller; a cached transform keeps its profile's bytes.
_MAX_PROFILE_BYTES = 4_000_000
_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def to_srgb(image: Image.Image) -> Image.Image:
    """Return the picture as 8-bit RGB on white, with its ICC profile applied.

    `image` must be loaded; it is not changed. An unusable profile is ignored.
    """
    profile = image.info.get("icc_profile")
    image = _eight_bits(image)
    alpha = None
    if image.has_transparency_data:
        image, alpha = _split_alpha(image)
    base = image if image.mode in _PROFILE_SPACES else image.convert("RGB")
    transform = None
    if isinstance(profile, bytes) and 128 <= len(profile) <= _MAX_PROFILE_BYTES:
        transform = _transform(profile, base.mode)
    if transform is not None:
        base = transform.apply(base)
    elif base.mode != "RGB":
        base = base.convert("RGB")
    if alpha is None:
        return _bare(base)
    white = Image.new("RGB", base.size, (255, 255, 255))
    white.paste(base, mask=alpha)
    return white


def _bare(image: Image.Image) -> Image.Image:
    """Return a plain RGB image without its source's metadata, which may contain whole files."""
    plain = Image.new("RGB", (1, 1))
    plain.im = image.im
    plain._size = image.size
    return plain


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert grey of more than 8 bits to L (or LA); return other modes unchanged.

    Pillow's own conversion clips such values at 255, which makes most pictures all white.
    16-bit grey keeps its high byte, as in libpng. 32-bit integers count as 8-bit or 16-bit if
    all values fit, floats as 0 to 1 or 0 to 255; anything else is scaled from its minimum to
    its maximum. NaN and infinities count as the minimum.
    """
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values: Any = np.asarray(image)
    low: float
    high: float
    if image.mode.startswith("I;16"):
        grey = (values >> 8).astype(np.uint8)
    elif image.mode == "I":
        low, high = int(values.min()), int(values.max())
        if low >= 0 and high <= 0xFF:
            grey = values.astype(np.uint8)
        elif low >= 0 and high <= 0xFFFF:
            grey = (values >> 8).astype(np.uint8)
        else:
            grey = _spread(values, low, high)
    else:
        finite = np.isfinite(values)
        low = float(values.min(where=finite, initial=np.inf))
        high = float(values.max(where=finite, initial=-np.inf))
        values = values if finite.all() else np.where(finite, values, low if low <= high else 0)
        if low >= 0 and high <= 1:
            grey = _spread(values, 0, 1)
        elif low >= 0 and high <= 255:
            grey = np.rint(values).astype(np.uint8)
        else:
            grey = _spread(values, low, high)
    result = Image.fromarray(grey)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        result.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return result


def _spread(values: Any, low: float, high: float) -> Any:
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    return np.rint((values.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Split a picture with transparency into its colours (L or RGB) and its alpha (L)."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        # A 16-bit PNG: Pillow keeps the high bytes of pixels, but all 16 bits of the key.
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    if image.mode not in ("1", "L", "RGB", "P", "PA", "RGBa", "RGBA"):
        # A transparent colour is meaningless in the other modes.
        return image.convert("RGB"), Image.new("L", image.size, 255)
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    rgba.info.pop("transparency", None)
    return rgba.convert("RGB"), alpha


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None if broken, for another mode, or sRGB."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _PROFILE_SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            _srgb(),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode != "CMYK" and _changes_nothing(transform, mode):
            return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform


@functools.cache
def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether sampled colours stay unchanged: sRGB profiles come under many names."""
    if mode == "L":
        probe = Image.frombytes("L", (256, 1), bytes(range(256)))
    else:
        steps = range(0, 256, 15)
        cube = bytes(c for r in steps for g in steps for b in steps for c in (r, g, b))
        probe = Image.frombytes("RGB", (len(cube) // 3, 1), cube)
    before = np.asarray(probe.convert("RGB"), dtype=np.int16)
    after = np.asarray(transform.apply(probe), dtype=np.int16)
    return int(np.abs(before - after).max()) <= 2
