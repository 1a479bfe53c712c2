"""Pictures from addresses, fetched by the caller's own function."""

from collections.abc import Callable

from PIL import Image

from embeddings.errors import InputError, RecipeError
from embeddings.operators.decode.pillow import PillowDecode


class UrlDecode:
    """`image_decode.url`: an address to a picture, through `fetch(url) -> bytes`.

    This library opens no connection: which addresses may be asked for, timeouts and limits are
    the fetcher's. It is no part of the recipe. What it brings is decoded as by
    `image_decode.pillow`, whose parameters these are.
    """

    light = True
    local = frozenset({"fetch"})

    def __init__(
        self,
        fetch: Callable[[str], bytes] | None = None,
        orientation: str = "exif",
        color: str = "srgb",
        background: str = "#ffffff",
    ) -> None:
        """Raises `RecipeError` without a fetcher."""
        if not callable(fetch):
            raise RecipeError(
                "image_decode.url opens no connection itself: give it your own function, as in "
                "ops.image_decode.url(fetch=lambda url: requests.get(url, timeout=10).content), "
                'or in Pipeline.from_recipe(..., local={"image_decode.url": {"fetch": ...}}).'
            )
        self._fetch = fetch
        self._decode = PillowDecode(orientation, color, background)

    def __call__(self, url: str) -> Image.Image:
        """The picture at an address, as RGB.

        Raises what the fetcher raises, `ImageError` for what is no usable picture, and
        `InputError` where the address is no text or the fetcher gives no bytes.
        """
        if not isinstance(url, str):
            raise InputError(f"An address must be text, not {type(url).__name__}.")
        data = self._fetch(url)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InputError(
                f"The fetcher must give the bytes at {url}, not {type(data).__name__}."
            )
        return self._decode(bytes(data))
