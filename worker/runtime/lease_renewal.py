"""Renewal of a worker's lease while it processes a batch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connections

log = logging.getLogger(__name__)
EVERY_SECONDS = 10.0


@contextmanager
def prolonged(renew: Callable[[], object]) -> Iterator[None]:
    """Call `renew` every ten seconds, in a thread, until the block ends.

    A slow model may take longer than a lease lasts. A process that hangs does not hold its lease
    forever, because the time limit of its task ends it.
    """
    over = threading.Event()

    def keep() -> None:
        try:
            while not over.wait(EVERY_SECONDS):
                try:
                    renew()
                except DatabaseError:
                    log.warning("a lease could not be prolonged", exc_info=True)
        finally:
            connections.close_all()

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
