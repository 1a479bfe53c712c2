"""Connections that are slow hold no thread of the web server, and are closed in time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from harness.installation import ROOT, free_port

pytestmark = pytest.mark.slow
# The same rules as the application's, in less time: seconds, and bytes a second.
HEAD, GRACE, RATE = 1.0, 2.0, 1000.0
CONFIGURATION = f"""
from searchapp import web_worker
web_worker.HEAD_SECONDS, web_worker.GRACE_SECONDS = {HEAD}, {GRACE}
web_worker.LEAST_RATE = {RATE}
worker_class = "searchapp.web_worker.BufferingWorker"
workers, threads, keepalive, control_socket_disable = 1, 4, 30, True
secure_scheme_headers, forwarder_headers = {{}}, ""
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("webserver") / "configuration.py"
    path.write_text(CONFIGURATION)
    number = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "-c", str(path), "-b", f"127.0.0.1:{number}",
        "tests.webserver.small_application:application",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        _wait(number)
        yield number
    finally:
        process.terminate()
        assert process.wait(15) == 0


def _wait(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            assert get(port) == "/ 0 " + hashlib.sha256().hexdigest()
            return
        time.sleep(0.1)
    raise AssertionError("the web server did not start")


def get(port: int, path: str = "/") -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def connect(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(data)
    return connection


def seconds_to_answer(port: int) -> float:
    started = time.monotonic()
    get(port)
    return time.monotonic() - started


def seconds_until_closed(connection: socket.socket, trickle: bytes = b"x") -> tuple[float, bytes]:
    """Send a byte now and then until the other side hangs up."""
    started, received = time.monotonic(), b""
    connection.settimeout(0.25)
    while time.monotonic() - started < 20:
        try:
            connection.sendall(trickle)
            data = connection.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            break
        if not data:
            break
        received += data
    connection.close()
    return time.monotonic() - started, received


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    received = b""
    with connection:
        while data := connection.recv(4096):
            received += data
    return received


BEGUN = {
    "nothing": b"",
    "a head without its end": b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ",
    "a small body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
    "a large body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n",
    "a large body after its first part": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 70_000
    ),
    "a body that waits for its permission": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n"
    ),
    "the second request of a connection": (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nX-Long: "
    ),
}


@pytest.mark.parametrize("begun", BEGUN)
def test_others_are_answered_at_once_beside_slow_ones(port: int, begun: str) -> None:
    connections = [connect(port, BEGUN[begun]) for _ in range(20)]
    try:
        time.sleep(0.3)
        assert max(seconds_to_answer(port) for _ in range(3)) < 2
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("begun", BEGUN)
def test_slow_ones_are_closed(port: int, begun: str) -> None:
    limit = HEAD if begun in ("nothing", "a head without its end") else GRACE
    trickle = b"" if begun == "nothing" else b"x"
    seconds, received = seconds_until_closed(connect(port, BEGUN[begun]), trickle)
    assert seconds < limit + 4  # the rules are looked at once a second
    if begun in ("a head without its end", "a small body"):
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_that_keeps_the_rate_arrives(port: int) -> None:
    body = os.urandom(16_000)
    connection = connect(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16000\r\n\r\n")
    for start in range(0, len(body), 1000):  # 2,000 bytes a second, four times the grace
        connection.sendall(body[start : start + 1000])
        time.sleep(0.5)
    answer = connection.recv(4096)
    connection.close()
    assert f"/ 16000 {hashlib.sha256(body).hexdigest()}".encode() in answer


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 5_000_000])
def test_bodies_arrive_whole(port: int, size: int) -> None:
    body = os.urandom(size)
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    for path in ("/1", "/2"):  # on one connection
        connection.request("POST", path, body)
        answer = connection.getresponse().read().decode()
        assert answer == f"{path} {size} {hashlib.sha256(body).hexdigest()}"
    connection.close()


def test_requests_sent_at_once_are_answered_in_their_order(port: int) -> None:
    both = (
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    connection = connect(port, both)
    received = read_all(connection)
    assert received.count(b"200 OK") == 2
    assert received.index(b"/a 0 ") < received.index(b"/b 0 ")


def test_permission_to_send_a_body_is_given(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    connection = connect(port, head)
    assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
    connection.sendall(b"abc")
    assert b"/ 3 " in connection.recv(4096)
    connection.close()


def test_a_head_without_end_is_refused_when_it_is_large(port: int) -> None:
    connection = connect(port, b"GET / HTTP/1.1\r\nHost: x\r\n")
    with contextlib.suppress(OSError):
        for number in range(2000):
            connection.sendall(f"X-{number}: {'x' * 100}\r\n".encode())
    with contextlib.suppress(OSError):
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 ")
    connection.close()
    assert seconds_to_answer(port) < 2


def test_a_reader_that_takes_nothing_is_left(port: int) -> None:
    request = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    connections = [connect(port, request) for _ in range(6)]  # all threads of all kinds
    time.sleep(GRACE + 1.5)
    assert seconds_to_answer(port) < 2
    for connection in connections:
        connection.close()


def test_many_streams_wait_for_each_other_and_all_arrive(port: int) -> None:
    body = os.urandom(300_000)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n"
    connections = [connect(port, head + body[:100_000]) for _ in range(10)]
    assert seconds_to_answer(port) < 2
    for connection in connections:
        connection.sendall(body[100_000:])
    wanted = hashlib.sha256(body).hexdigest().encode()
    for connection in connections:
        assert wanted in read_all(connection)


def test_clients_that_never_close_hold_nobody_up(port: int) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    connections = [connect(port, request) for _ in range(20)]
    assert max(seconds_to_answer(port) for _ in range(3)) < 2
    for connection in connections:
        assert b"200 OK" in read_all(connection)


def test_clients_headers_change_no_address(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/x", headers={"Script_Name": "/evil", "Path_Info": "/evil"})
    assert connection.getresponse().read().startswith(b"/x 0 ")
    connection.close()
