"""One HTTP/1.1 request over one socket, to an address that has been checked.

h11 implements the protocol without any I/O of its own. This module does each read, so that each
can wait for at most the rest of the shared deadline. No library resolves a name, uses a proxy or
follows a redirect without our checks.
"""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import certifi
import h11

from searchapp.infra.fetch.deadline import Deadline, timed_out
from searchapp.infra.fetch.errors import FetchError
from searchapp.infra.fetch.networks import IPAddress
from searchapp.infra.fetch.target import Target

USER_AGENT = "Lookalike/1.0 (reverse image search; fetches one picture because a person asked)"

_READ_SIZE = 64 * 1024
_MAX_HEAD_SIZE = 64 * 1024


class HttpConnection:
    """An open connection for one request. Use it as a context manager."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_SIZE)

    @classmethod
    def open(cls, target: Target, addresses: Sequence[IPAddress], deadline: Deadline) -> Self:
        """Connect to the first of `addresses` that answers, with TLS if the scheme is https.

        Server name indication and the certificate check use `target.host`, not the IP address.

        Raises `FetchError`, code `fetch_failed`, `fetch_timeout` or `certificate_invalid`, when
        the connection cannot be opened.
        """
        sock = _connect(addresses, target.port, deadline)
        if target.scheme == "https":
            with _closing_on_error(sock), _network_errors():
                sock.settimeout(deadline.remaining())
                sock = _tls_context().wrap_socket(sock, server_hostname=target.host)
        return cls(sock, deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()

    def get(self, target: Target) -> h11.Response:
        """Request `target` and read the head of the response.

        Raises `FetchError`, code `fetch_failed` or `fetch_timeout`, when there is no valid one.
        """
        request = h11.Request(
            method="GET",
            target=target.path,
            headers=[
                ("Host", target.authority),
                ("User-Agent", USER_AGENT),
                ("Accept", "image/*, */*;q=0.1"),
                # A compressed body could expand to any size, and images are already compressed.
                ("Accept-Encoding", "identity"),
                ("HttpConnection", "close"),
            ],
        )
        with _network_errors():
            message = self._http.send(request)
            end = self._http.send(h11.EndOfMessage())
            self._sock.settimeout(self._deadline.remaining())
            self._sock.sendall((message or b"") + (end or b""))
        while True:
            event = self._next_event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise _failed()

    def body(self) -> Iterator[bytes]:
        """Yield the body in pieces, as they arrive.

        Raises `FetchError`, code `fetch_timeout`, when the deadline has passed, and code
        `fetch_failed` when the connection ends before the body does.
        """
        while True:
            event = self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise _failed()

    def _next_event(self) -> object:
        with _network_errors():
            while True:
                left = self._deadline.remaining()
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                self._sock.settimeout(left)
                self._http.receive_data(self._sock.recv(_READ_SIZE))


def _connect(addresses: Sequence[IPAddress], port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers; each gets an equal share of the remaining time."""
    timeout = False
    for position, address in enumerate(addresses):
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        share = deadline.remaining() / (len(addresses) - position)
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError:  # for example, this machine has no IPv6
            continue
        try:
            sock.settimeout(share)
            sock.connect((str(address), port))
        except OSError as error:
            timeout = timeout or isinstance(error, TimeoutError)
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise timed_out() if timeout else _failed()


def _tls_context() -> ssl.SSLContext:
    """Return a context with the system's trust store, or certifi's if the system has none."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath):
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextmanager
def _closing_on_error(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise


@contextmanager
def _network_errors() -> Iterator[None]:
    """Translate errors of sockets, TLS and h11 to `FetchError`."""
    try:
        yield
    except TimeoutError as error:
        raise timed_out() from error
    except ssl.SSLCertVerificationError as error:
        raise FetchError(
            "certificate_invalid",
            "The server at this address has no valid certificate for its name, so what it sends "
            "cannot be trusted. Upload the picture from your device instead.",
        ) from error
    except (OSError, h11.ProtocolError) as error:
        raise _failed() from error


def _failed() -> FetchError:
    return FetchError(
        "fetch_failed",
        "The picture could not be fetched: the server did not answer, or broke off. Try again "
        "later, or upload the picture from your device.",
        retryable=True,
    )
