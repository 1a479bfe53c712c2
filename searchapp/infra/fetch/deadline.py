"""A deadline that all steps of one fetch share."""

import time

from searchapp.infra.fetch.errors import FetchError


def timed_out() -> FetchError:
    """The error for a fetch that took longer than it may."""
    return FetchError(
        "fetch_timeout",
        "The server at this address took too long to send the picture. Try again later, or "
        "download the picture and upload it from your device.",
        retryable=True,
    )


class Deadline:
    """``seconds`` from now, for lookup, connection, redirects and body together.

    A limit per read would let a server hold a worker for hours with one byte at a time.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, always above 0. Raises ``FetchError`` ``fetch_timeout`` when none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise timed_out()
        return left
