"""Image decoding from URLs, fetched by a function that the caller provides."""

from collections.abc import Callable

from PIL import Image

from embeddings.errors import InputError, RecipeError
from embeddings.operators.decode.pillow import PillowDecode


class UrlDecode:
    """`image_decode.url`: a URL to a picture, through `fetch(url) -> bytes`.

    This library opens no connection: allowed addresses, timeouts and limits are up to the
    fetcher, which is not part of the recipe. The bytes are decoded as by `image_decode.pillow`,
    with the same parameters.
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
        """Raises `RecipeError` when there is no fetcher."""
        if not callable(fetch):
            raise RecipeError(
                "image_decode.url opens no connection itself: give it your own function, as in "
                "ops.image_decode.url(fetch=lambda url: requests.get(url, timeout=10).content), "
                'or in Pipeline.from_recipe(..., local={"image_decode.url": {"fetch": ...}}).'
            )
        self._fetch = fetch
        self._decode = PillowDecode(orientation, color, background)

    def __call__(self, url: str) -> Image.Image:
        """Return the picture at a URL, as RGB.

        Raises what the fetcher raises, `ImageError` for a picture that cannot be used, and
        `InputError` when the URL is not a string or the fetcher does not return bytes.
        """
        if not isinstance(url, str):
            raise InputError(f"An address must be text, not {type(url).__name__}.")
        data = self._fetch(url)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InputError(
                f"The fetcher must give the bytes at {url}, not {type(data).__name__}."
            )
        return self._decode(bytes(data))
