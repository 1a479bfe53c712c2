"""Gunicorn's threaded worker, with requests that come slowly kept from its threads.

A request is received by the main loop until it is whole, or, of a large body, until its first part
is there; only then does a thread begin. Large bodies go on from there as streams, in a few threads
more than the worker has for all else, so that they never hold up ordinary requests. A head must be
complete after some seconds; a body must keep a least rate.

Of Gunicorn's worker this uses `enqueue_req`, `handle`, `handle_request`, `finish_request` and
`murder_pending`, of the version that `requirements/run.txt` pins.
"""

from __future__ import annotations

import re
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from socket import SHUT_WR
from typing import Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import ThreadWorker

HEAD_SECONDS = 10.0  # from its first byte, or from the connection's begin, to its end
GRACE_SECONDS = 30.0  # that a body may fall behind its least rate, or be silent
LEAST_RATE = 1000.0  # bytes a second
# A body up to here is received whole before a thread begins; of a larger one this much.
BUFFERED = 64 * 1024
MAX_HEAD = 64 * 1024
_RECEIVED_AT_ONCE = 64 * 1024
_LINGER_SECONDS = 2.0
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_AT_ONCE = re.compile(rb"\r\n(?:expect|transfer-encoding):", re.IGNORECASE)
_WITHOUT_BODY = b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout" + _WITHOUT_BODY
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _WITHOUT_BODY


class Pace:
    """The moment by which more must have come of a body that keeps the least rate."""

    def __init__(self) -> None:
        self.deadline = time.monotonic() + GRACE_SECONDS

    def note(self, received: int) -> None:
        """Count bytes. However fast some were, the sender is never trusted for longer."""
        latest = time.monotonic() + GRACE_SECONDS
        self.deadline = min(latest, self.deadline + received / LEAST_RATE)

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()


class IncomingRequest:
    """What has come of a request so far."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray()
        self.wanted = 0  # bytes, its head included; 0 while the head is not complete
        self.is_stream = False  # whether more of it comes than is waited for
        self.deadline = time.monotonic() + HEAD_SECONDS
        self.pace: Pace | None = None
        self.add(data)

    def add(self, data: bytes) -> None:
        self.data += data
        if self.pace is not None:
            self.pace.note(len(data))
            self.deadline = self.pace.deadline
        elif (end := self.data.find(_END)) >= 0:
            self._begin_body(bytes(self.data[: end + len(_END)]))

    def _begin_body(self, head: bytes) -> None:
        self.pace = Pace()
        self.deadline = self.pace.deadline
        self.wanted = len(head)
        if _AT_ONCE.search(head):  # the sender waits for an answer, or does not know the length
            self.is_stream = True
        elif match := _LENGTH.search(head):
            length = int(match[1])
            self.is_stream = length > BUFFERED
            self.wanted += min(length, BUFFERED)

    @property
    def is_enough(self) -> bool:
        return 0 < self.wanted <= len(self.data)

    @property
    def has_large_head(self) -> bool:
        return not self.wanted and len(self.data) > MAX_HEAD


class PacedUnreader(SocketUnreader):  # type: ignore[misc]
    """Reads the rest of a body in a thread, as long as its sender keeps the least rate."""

    pace: Pace

    def begin(self, data: bytes, pace: Pace) -> None:
        self.pace = pace
        self.unread(data)

    def chunk(self, size_hint: int | None = None) -> bytes:
        usual = self.sock.gettimeout()
        left = max(self.pace.left, 0.001)
        self.sock.settimeout(left if usual is None else min(left, usual))
        try:
            data: bytes = super().chunk(size_hint)
        finally:
            self.sock.settimeout(usual)
        self.pace.note(len(data))
        return data


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """See the module. Its tables are used by the main loop only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.receiving: dict[Any, IncomingRequest] = {}
        self.max_streams = max(1, self.cfg.threads // 2)
        self.lingering: dict[Any, float] = {}
        self.streams: set[Any] = set()
        self.waiting_streams: deque[Any] = deque()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=self.cfg.threads + self.max_streams)

    def enqueue_req(self, conn: Any) -> None:
        """Receive a request of a new connection, or the next one of a connection."""
        conn.sock.setblocking(False)
        begun = conn.parser.unreader.take_buffered() if conn.parser is not None else b""
        self.receiving[conn] = IncomingRequest(begun)
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_readable, conn))
        self._begin_if_enough(conn)

    def _on_readable(self, conn: Any, _: Any) -> None:
        try:
            data = conn.sock.recv(_RECEIVED_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
            return
        self.receiving[conn].add(data)
        self._begin_if_enough(conn)

    def _begin_if_enough(self, conn: Any) -> None:
        incoming = self.receiving[conn]
        if incoming.has_large_head:
            self._drop(conn, _TOO_LARGE)
        elif incoming.is_enough:
            del self.receiving[conn]
            self.poller.unregister(conn.sock)
            conn.incoming = incoming
            if not incoming.is_stream:
                super().enqueue_req(conn)
            elif len(self.streams) < self.max_streams:
                self._begin_stream(conn)
            else:
                self.waiting_streams.append(conn)

    def _begin_stream(self, conn: Any) -> None:
        self.streams.add(conn)
        conn.incoming.pace = Pace()  # it was we who kept it waiting
        super().enqueue_req(conn)

    def _drop(self, conn: Any, answer: bytes = b"") -> None:
        """Close a connection of which no whole request came."""
        del self.receiving[conn]
        with suppress(OSError):
            conn.sock.send(answer)
        self._close(conn)

    def _linger(self, conn: Any) -> None:
        """Close a connection once its client has closed it or a moment has passed (RFC 9112, 9.6).

        Gunicorn waits for the client in its main loop, in which everybody then waits.
        """
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(SHUT_WR)
        except OSError:
            self._close(conn)
            return
        self.lingering[conn] = time.monotonic() + _LINGER_SECONDS
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_lingering_readable, conn))

    def _on_lingering_readable(self, conn: Any, _: Any) -> None:
        with suppress(BlockingIOError, InterruptedError):
            try:
                closed = not conn.sock.recv(_RECEIVED_AT_ONCE)
            except ConnectionError:
                closed = True
            if closed:
                self._close(conn)

    def _close(self, conn: Any) -> None:
        self.lingering.pop(conn, None)
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Close connections whose requests come too slowly; called about once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in list(self.lingering.items()):
            if now > deadline:
                self._close(conn)
        for conn, incoming in list(self.receiving.items()):
            if now > incoming.deadline:
                self._drop(conn, _TIMED_OUT if incoming.data else b"")
            elif not self.alive and not incoming.data:
                self._drop(conn)

    def handle(self, conn: Any) -> Any:
        conn.init()
        unreader = conn.parser.unreader
        if not isinstance(unreader, PacedUnreader):
            unreader = conn.parser.unreader = PacedUnreader(conn.sock)
        incoming, conn.incoming = conn.incoming, None
        unreader.begin(bytes(incoming.data), incoming.pace)
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        # Also for what is sent: a reader that takes nothing must not hold a thread for ever.
        conn.sock.settimeout(GRACE_SECONDS)
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            self.log.debug("A client was too slow.")
            raise StopIteration from None  # closes the connection, as in Gunicorn's own worker

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        if conn in self.streams:
            self.streams.remove(conn)
            if self.waiting_streams:
                self._begin_stream(self.waiting_streams.popleft())
        if fs.cancelled() or fs.exception() is not None or not fs.result():
            self._linger(conn)
        else:
            super().finish_request(conn, fs)
