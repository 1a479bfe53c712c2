"""Small real servers on loopback, scripted down to the byte, so that they can misbehave."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Script = Callable[["Request", socket.socket], None]


@dataclass(frozen=True)
class Request:
    """What a client asked: path with query, and headers by lower-case name."""

    path: str
    headers: dict[str, str]


@dataclass
class Server:
    """A running server; ``requests`` grows as they come, ``names`` holds what TLS clients named."""

    host: str
    port: int
    requests: list[Request] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"

    def url(self, path: str = "/picture.jpg", host: str | None = None) -> str:
        return f"http://{host or self.host}:{self.port}{path}"


@contextmanager
def serve(
    script: Script,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """Run ``script`` for each connection; it gets the request and the socket to answer on."""
    listener = socket.create_server((host, port))
    listener.settimeout(0.05)
    server = Server(host, listener.getsockname()[1])
    if tls is not None:
        tls.sni_callback = lambda _sock, name, _context: server.names.append(name)
    threads: list[threading.Thread] = []

    def answer(client: socket.socket) -> None:
        client.settimeout(10)
        with client:
            try:
                if tls is not None:
                    client = tls.wrap_socket(client, server_side=True)
                with client:
                    request = _read_request(client)
                    server.requests.append(request)
                    script(request, client)
            except OSError:
                pass  # the client went away, as it does when it refuses what it sees

    def accept() -> None:
        while not server.stopped.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            threads.append(threading.Thread(target=answer, args=(client,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield server
    finally:
        server.stopped.set()
        acceptor.join()
        for thread in threads:
            thread.join()
        listener.close()


def _read_request(client: socket.socket) -> Request:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = client.recv(4096)
        if not piece:
            raise ConnectionError("the client sent no request")
        head += piece
        if not head[:1].isalpha():  # somebody speaks TLS to a server that does not
            client.sendall(response(status="400 Bad Request"))
            raise ConnectionError("the client sent no HTTP")
    first, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Request(first.split(" ")[1], {name.lower(): value for name, value in headers.items()})


def response(body: bytes = b"", *, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer; header names are given with underscores, Content-Length is added."""
    fields = {"Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def sending(answer: bytes) -> Script:
    """A script that sends the same answer to everybody."""
    return lambda _request, client: client.sendall(answer)


def redirecting(*locations: str, last: bytes) -> Script:
    """A script that forwards from /0 to each location in turn, and answers ``last`` elsewhere.

    A location may say where the next step is with ``{next}``.
    """

    def script(request: Request, client: socket.socket) -> None:
        step = request.path.strip("/")
        if step.isdigit() and int(step) < len(locations):
            location = locations[int(step)].format(next=f"/{int(step) + 1}")
            client.sendall(response(status="302 Found", Location=location))
        else:
            client.sendall(last)

    return script
