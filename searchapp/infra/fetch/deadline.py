"""A deadline that all steps of one fetch share."""

import time

from searchapp.infra.fetch.errors import FetchError


def timed_out() -> FetchError:
    """Return the error for a fetch that exceeded its time limit."""
    return FetchError(
        "fetch_timeout",
        "The server at this address took too long to send the picture. Try again later, or "
        "download the picture and upload it from your device.",
        retryable=True,
    )


class Deadline:
    """A time limit of `seconds` for lookup, connection, redirects and body together.

    With a limit per read, a server could occupy a worker for hours by sending one byte at a time.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, always above 0.

        Raises `FetchError`, code `fetch_timeout`, when none are left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise timed_out()
        return left
