"""A picture arrives, or its refusal has its own code: over real sockets on loopback."""

import hashlib
import io
import pickle
import socket
import threading
from collections.abc import Callable

import pytest

from searchapp.infra.fetch import FetchError, FetchPolicy, fetch_picture
from tests.infra.fetch.conftest import PICTURE, Fetch
from tests.infra.fetch.servers import Request, Server, response, sending, serve

Refusal = Callable[..., FetchError]


def test_a_picture_arrives_whole(fetch: Fetch) -> None:
    with serve(sending(response(PICTURE))) as server:
        fetched, content = fetch(server.url("/a b.jpg?size=1#top"), server)
    assert content == PICTURE
    assert fetched.bytes == len(PICTURE)
    assert fetched.sha256 == hashlib.sha256(PICTURE).hexdigest()
    assert fetched.final_url == server.url("/a%20b.jpg?size=1")


def test_the_request_is_polite_and_carries_nothing_of_ours(fetch: Fetch) -> None:
    with serve(sending(response(PICTURE, Set_Cookie="a=b"))) as server:
        fetch(server.url(), server)
        fetch(server.url(), server)
    for request in server.requests:
        assert request.headers["host"] == server.authority
        assert "Lookalike" in request.headers["user-agent"]
        assert request.headers["accept-encoding"] == "identity"
        assert not {"cookie", "authorization", "referer"} & request.headers.keys()


def test_proxies_of_the_environment_are_ignored(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(sending(response(b"proxy"))) as proxy, serve(sending(response(PICTURE))) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.authority}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        _, content = fetch(server.url(), server)
    assert content == PICTURE
    assert not proxy.requests


def test_chunked_and_unannounced_bodies_arrive(fetch: Fetch) -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (PICTURE[:7], PICTURE[7:]))
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    for answer in (chunked, head + b"\r\n" + PICTURE):
        with serve(sending(answer)) as server:
            assert fetch(server.url(), server)[1] == PICTURE


def test_interim_answers_are_passed_over(fetch: Fetch) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    with serve(sending(early + response(PICTURE))) as server:
        assert fetch(server.url(), server)[1] == PICTURE


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        ("204 No Content", False),
        ("206 Partial Content", False),
        ("304 Not Modified", False),
        ("401 Unauthorized", False),
        ("404 Not Found", False),
        ("429 Too Many Requests", True),
        ("500 Internal Server Error", True),
        ("503 Service Unavailable", True),
    ],
)
def test_any_status_but_200_is_refused(status: str, retryable: bool, refusal: Refusal) -> None:
    with serve(sending(response(status=status))) as server:
        error = refusal(server.url(), server)
    assert error.code == "fetch_status"
    assert status[:3] in error.detail
    assert error.retryable is retryable


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "x-unknown"])
def test_compressed_bodies_are_refused_unread(encoding: str, refusal: Refusal) -> None:
    with serve(sending(response(PICTURE, Content_Encoding=encoding))) as server:
        assert refusal(server.url(), server).code == "encoding_not_supported"


def test_a_compressed_transfer_is_refused(refusal: Refusal) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    with serve(sending(answer)) as server:
        assert refusal(server.url(), server).code == "fetch_failed"


class TestSize:
    LIMIT = 1000

    def endless(self, head: bytes) -> Callable[[Request, socket.socket], None]:
        """Send far more than the limit, piece by piece, and remember how far that went."""

        def script(_request: Request, client: socket.socket) -> None:
            client.sendall(head)
            for _ in range(2000):
                client.sendall(bytes(10_000))

        return script

    def refused(self, server: Server) -> tuple[FetchError, int]:
        destination = io.BytesIO()
        policy = FetchPolicy(allowed_hosts=(server.authority,), max_bytes=self.LIMIT, timeout=20)
        with pytest.raises(FetchError) as caught:
            fetch_picture(server.url(), destination, policy=policy)
        return caught.value, len(destination.getvalue())

    def test_exactly_the_limit_is_allowed(self, fetch: Fetch) -> None:
        with serve(sending(response(bytes(self.LIMIT)))) as server:
            assert fetch(server.url(), server, max_bytes=self.LIMIT)[0].bytes == self.LIMIT

    def test_an_announced_size_over_the_limit_is_refused_before_the_body(self) -> None:
        running: list[Server] = []

        def script(_request: Request, client: socket.socket) -> None:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
            running[0].stopped.wait(5)  # the body does not come before the client has gone

        with serve(script) as server:
            running.append(server)
            error, written = self.refused(server)
        assert error.code == "file_too_large"
        assert "1000 bytes" in error.detail
        assert not error.retryable
        assert written == 0

    def test_an_unannounced_size_is_counted(self) -> None:
        with serve(self.endless(b"HTTP/1.1 200 OK\r\n\r\n")) as server:
            error, written = self.refused(server)
        assert error.code == "file_too_large"
        assert written <= self.LIMIT

    def test_chunks_are_counted(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n"
        with serve(self.endless(head)) as server:
            error, written = self.refused(server)
        assert error.code == "file_too_large"
        assert written <= self.LIMIT

    def test_no_more_is_taken_than_was_announced(self, fetch: Fetch) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        with serve(self.endless(head)) as server:
            assert fetch(server.url(), server, max_bytes=self.LIMIT)[1] == bytes(5)

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nshort",
        ],
        ids=["cut off", "cut off in a chunk", "negative", "two lengths"],
    )
    def test_a_length_that_does_not_hold_is_a_failure(
        self, answer: bytes, refusal: Refusal
    ) -> None:
        with serve(sending(answer)) as server:
            error = refusal(server.url(), server)
        assert error.code == "fetch_failed"
        assert error.retryable


class TestTime:
    """Servers that would give the picture in the end, if each read had a limit of its own."""

    def dripping(self, server: list[Server], drop: bytes, end: bytes) -> Callable[..., None]:
        def script(_request: Request, client: socket.socket) -> None:
            for _ in range(100):
                client.sendall(drop)
                server[0].stopped.wait(0.05)
            client.sendall(end)

        return script

    @pytest.mark.parametrize(
        ("first", "drop", "end"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"x", b""),
            (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n", b"Content-Length: 0\r\n\r\n"),
            (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", b"\r\nContent-Length: 0\r\n\r\n"),
            (b"", b"HTTP/1.1 102 Processing\r\n\r\n", response(b"x")),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"1\r\nx\r\n",
                b"0\r\n\r\n",
            ),
        ],
        ids=["body", "headers", "one header", "interim answers", "chunks"],
    )
    def test_drop_by_drop_ends_in_time(
        self, first: bytes, drop: bytes, end: bytes, refusal: Refusal
    ) -> None:
        running: list[Server] = []
        drip = self.dripping(running, drop, end)

        def script(request: Request, client: socket.socket) -> None:
            client.sendall(first)
            drip(request, client)

        with serve(script) as server:
            running.append(server)
            error = refusal(server.url(), server, timeout=0.5)
        assert error.code == "fetch_timeout"
        assert error.retryable

    def test_the_time_is_shared_by_all_redirects(self, refusal: Refusal) -> None:
        running: list[Server] = []

        def script(request: Request, client: socket.socket) -> None:
            running[0].stopped.wait(0.3)
            step = int(request.path[1:])
            last = step == 4
            client.sendall(
                response(b"x") if last else response(status="302 Found", Location=f"/{step + 1}")
            )

        with serve(script) as server:
            running.append(server)
            assert refusal(server.url("/0"), server, timeout=0.8).code == "fetch_timeout"

    def test_a_silent_server_ends_in_time(self, refusal: Refusal) -> None:
        running: list[Server] = []

        def script(_request: Request, _client: socket.socket) -> None:
            running[0].stopped.wait(5)

        with serve(script) as server:
            running.append(server)
            assert refusal(server.url(), server, timeout=0.3).code == "fetch_timeout"

    def test_a_silent_lookup_ends_in_time(self, refusal: Refusal) -> None:
        answered = threading.Event()

        def resolver(_host: str) -> list[str]:
            answered.wait(5)
            return ["192.0.2.1"]

        error = refusal("http://slow.example/", resolver=resolver, timeout=0.2)
        answered.set()
        assert error.code == "fetch_timeout"


class TestFailures:
    def test_a_closed_port_says_no_more_than_a_broken_answer(self, refusal: Refusal) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        closed = refusal(f"http://127.0.0.1:{port}/", allowed_hosts=(f"127.0.0.1:{port}",))
        with serve(sending(b"SSH-2.0-OpenSSH_9.2\r\n")) as server:
            other = refusal(server.url(), server)
        assert (closed.code, closed.detail) == (other.code, other.detail)
        assert closed.code == "fetch_failed"

    @pytest.mark.parametrize(
        "answer",
        [b"", b"\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000],
        ids=["nothing", "empty lines", "no status", "endless header"],
    )
    def test_what_is_not_http_is_a_failure(self, answer: bytes, refusal: Refusal) -> None:
        with serve(sending(answer)) as server:
            assert refusal(server.url(), server).code == "fetch_failed"

    def test_an_error_of_the_destination_is_not_taken_for_the_servers(self) -> None:
        class Full(io.BytesIO):
            def write(self, _data: object) -> int:
                raise OSError(28, "No space left on device")

        with serve(sending(response(PICTURE))) as server:
            policy = FetchPolicy(allowed_hosts=(server.authority,), timeout=20)
            with pytest.raises(OSError, match="No space left"):
                fetch_picture(server.url(), Full(), policy=policy)

    def test_errors_survive_a_journey_between_processes(self) -> None:
        error = FetchError("fetch_timeout", "Too slow.", retryable=True)
        copy = pickle.loads(pickle.dumps(error))
        assert (copy.code, copy.detail, copy.retryable) == ("fetch_timeout", "Too slow.", True)
        assert str(copy) == "fetch_timeout: Too slow."
