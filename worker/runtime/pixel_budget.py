"""A budget of decoded pixels for the threads of a process, which share its memory.

A file of some kilobytes can hold a hundred million pixels. Each such picture is within the limits;
a dozen at once are not within the machine.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from embeddings.errors import ImageError
from embeddings.operators.decode.pillow import picture_size
from searchapp.services.errors import Unavailable

_PIXELS = 100_000_000
# Less than the time in which the sender of a search gives up.
PATIENCE_SECONDS = 10.0


class PixelBudget:
    """At most `total` pixels at a time; who waits is served in order, so that a large picture is
    not overtaken for ever by small ones."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def hold(self, pixels: int, patience: float | None) -> Iterator[None]:
        """Hold some pixels of the budget, all of it for a picture that is larger.

        Raises `Unavailable`, code `busy`, when there was no room for `patience` seconds; None waits
        without end.
        """
        wanted = min(pixels, self._total)
        self._take(wanted, patience)
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()

    def _take(self, wanted: int, patience: float | None) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                if not self._changed.wait_for(
                    lambda: self._waiting[0] is ticket and self._free >= wanted, patience
                ):
                    raise Unavailable(
                        "busy", "Very large pictures are being searched. Please try again shortly."
                    )
                self._free -= wanted
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()


_budget: PixelBudget | None = None
_lock = threading.Lock()


@contextmanager
def room_for(
    data: bytes, *, draft_short_side: int | None = None, patience: float | None = PATIENCE_SECONDS
) -> Iterator[None]:
    """Hold room for the pixels of an encoded picture while it is decoded and used.

    Raises `Unavailable`, code `busy`. What is no picture needs no room: decoding it says why.
    """
    global _budget
    with _lock:
        if _budget is None:
            _budget = PixelBudget(max(_PIXELS, settings.MAX_PIXELS))
    try:
        width, height = picture_size(data, draft_short_side=draft_short_side)
    except ImageError:
        width = height = 0
    with _budget.hold(width * height, patience):
        yield
