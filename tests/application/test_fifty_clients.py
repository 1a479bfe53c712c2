"""Fifty clients for a minute, beside connections that trickle and addresses that never answer."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from harness.installation import Client, Installation, running, wait_until
from tests.pictures import blurred_picture

pytestmark = [pytest.mark.long, pytest.mark.application]
SECONDS, CLIENTS, TRICKLING, SILENT = 60, 50, 20, 16
HEALTH_SECONDS = 2.0  # within which /healthz answers meanwhile


@pytest.fixture(scope="module")
def silent_port() -> Iterator[int]:
    """A server on loopback that takes connections and says nothing."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


@pytest.fixture(scope="module")
def crowded(silent_port: int) -> Iterator[Installation]:
    with running(LOOKALIKE_FETCH_ALLOWED_HOSTS=f"127.0.0.1:{silent_port}") as application:
        application.wait_demo()
        yield application


class Crowd:
    """What all threads note: requests by kind and outcome, jobs, and the times of /healthz."""

    def __init__(self, application: Installation) -> None:
        self.url = application.url
        self.key = application.key("write")
        self.until = time.monotonic() + SECONDS
        self.answers: Counter[str] = Counter()
        self.jobs: list[str] = []
        self.health: list[float] = []

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.until

    def client(self, number: int, giraffe: bytes) -> None:
        """Search, upload or browse; wait for the answer, and then a second."""
        chance = random.Random(number)
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.key}"
        turn = 0
        while self.goes_on:
            turn += 1
            picture = blurred_picture(1000 * number + turn)
            kind = chance.choice(["search", "upload", "browse"])
            if kind == "search":
                answer = session.post(
                    f"{self.url}/api/v1/search/",
                    files={"image": chance.choice([picture, giraffe])},
                    data={"dataset": "demo"},
                    timeout=60,
                )
            elif kind == "upload":
                address = f"{self.url}/api/v1/datasets/crowd/images/"
                files = {"file": (f"{number}-{turn}.jpg", picture)}
                answer = session.post(address, files=files, timeout=60)
            else:
                path = chance.choice(["/", "/datasets/demo/", "/images/7/", "/media/3/256.webp"])
                answer = session.get(f"{self.url}{path}", timeout=60)
            self.answers[f"{kind} {answer.status_code}"] += 1
            if answer.status_code == 202:
                self.jobs.append(answer.json()["job"])
            time.sleep(1)

    def trickle(self, number: int) -> None:
        """Send a byte every five seconds, in the head or in the body."""
        head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: "
        body = b"POST /api/v1/search/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n\r\n{"
        host, port = self.url.removeprefix("http://").split(":")
        while self.goes_on:
            try:
                with socket.create_connection((host, int(port)), timeout=10) as connection:
                    connection.sendall(head if number % 2 else body)
                    while self.goes_on:
                        time.sleep(5)
                        connection.sendall(b"x")
            except OSError:
                continue  # it was closed, as it should be

    def ask_silent(self, port: int) -> None:
        while self.goes_on:
            address = f"http://127.0.0.1:{port}/a.jpg"
            answer = requests.post(f"{self.url}/api/v1/search/", json={"url": address}, timeout=60)
            self.answers[f"silent {answer.status_code} {answer.json()['code']}"] += 1
            time.sleep(1)

    def look_at_health(self) -> None:
        while self.goes_on:
            started = time.monotonic()
            requests.get(f"{self.url}/healthz", timeout=60)
            self.health.append(time.monotonic() - started)
            time.sleep(0.5)


def test_nobody_waits_in_vain_and_nothing_is_lost(
    crowded: Installation, silent_port: int, demo_files: list[Path]
) -> None:
    admin = Client(crowded.url, crowded.key("write"))
    assert admin.post("/datasets/", json={"name": "Crowd", "slug": "crowd"}).status_code == 201
    giraffe = next(path for path in demo_files if path.name == "erase-giraffe.jpg").read_bytes()
    crowd = Crowd(crowded)
    calls: list[Callable[[], None]] = [crowd.look_at_health]
    calls += [lambda number=number: crowd.client(number, giraffe) for number in range(CLIENTS)]  # type: ignore[misc]
    calls += [lambda number=number: crowd.trickle(number) for number in range(TRICKLING)]  # type: ignore[misc]
    calls += [lambda: crowd.ask_silent(silent_port) for _ in range(SILENT)]
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ours = {kind: number for kind, number in crowd.answers.items() if "silent" not in kind}
    assert set(ours) == {"search 200", "upload 202", "browse 200"}
    assert min(ours.values()) > CLIENTS
    silent = {kind for kind in crowd.answers if "silent" in kind}
    assert silent == {"silent 503 busy", "silent 504 fetch_timeout"}
    assert max(crowd.health) < HEALTH_SECONDS

    def are_all_ready() -> bool:
        counts = admin.get("/datasets/crowd/").json()["counts"]
        return bool(counts["ready"] == counts["total"] == len(crowd.jobs))

    wait_until(are_all_ready, "what was acknowledged is not ready", 240)
    assert "0 found" in crowded.manage("audit").stdout
