"""Over TLS, the name that was asked for is the one that is shown and verified."""

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from searchapp.infra.fetch import FetchError
from tests.infra.fetch.conftest import PICTURE, Fetch, Names
from tests.infra.fetch.servers import Request, Server, response, sending, serve

Refusal = Callable[..., FetchError]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The authority, in the place where OpenSSL looks for those that this machine trusts."""
    bundle = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    return authority


def context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    certificate = authority.issue_cert(*names)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    return tls


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[Server]:
    tls = context(authority, "pictures.example")
    with serve(sending(response(PICTURE)), tls=tls) as running:
        yield running


def secure(server: Server, host: str) -> str:
    return f"https://{host}:{server.port}/picture.jpg"


def test_the_name_is_shown_verified_and_sent_though_the_address_is_pinned(
    server: Server, trusted: trustme.CA, fetch: Fetch
) -> None:
    names = Names(pictures_example=[["127.0.0.1"], []])
    url = secure(server, "pictures.example")
    fetched, content = fetch(url, resolver=names, allowed_hosts=("pictures.example",))
    assert content == PICTURE
    assert fetched.final_url == url
    assert names.asked == ["pictures.example"]
    assert server.names == ["pictures.example"]
    assert server.requests[0].headers["host"] == f"pictures.example:{server.port}"


def test_a_certificate_for_another_name_is_refused(
    server: Server, trusted: trustme.CA, refusal: Refusal
) -> None:
    names = Names(other_example=[["127.0.0.1"]])
    error = refusal(
        secure(server, "other.example"), resolver=names, allowed_hosts=("other.example",)
    )
    assert error.code == "certificate_invalid"
    assert not error.retryable
    assert not server.requests


def test_a_certificate_for_a_name_does_not_serve_its_address(
    server: Server, trusted: trustme.CA, refusal: Refusal
) -> None:
    error = refusal(secure(server, "127.0.0.1"), server)
    assert error.code == "certificate_invalid"


def test_an_address_with_a_certificate_of_its_own_is_served(
    trusted: trustme.CA, fetch: Fetch
) -> None:
    tls = context(trusted, "127.0.0.1")
    with serve(sending(response(PICTURE)), tls=tls) as server:
        assert fetch(secure(server, "127.0.0.1"), server)[1] == PICTURE


def test_an_authority_that_nobody_trusts_is_refused(server: Server, refusal: Refusal) -> None:
    names = Names(pictures_example=[["127.0.0.1"]])
    error = refusal(
        secure(server, "pictures.example"), resolver=names, allowed_hosts=("pictures.example",)
    )
    assert error.code == "certificate_invalid"
    assert not server.requests


def test_a_server_without_tls_is_a_failure(refusal: Refusal) -> None:
    with serve(sending(response(PICTURE))) as server:
        assert refusal(secure(server, "127.0.0.1"), server).code == "fetch_failed"


def test_a_redirect_may_lead_to_tls_but_not_past_its_verification(
    server: Server, trusted: trustme.CA, fetch: Fetch, refusal: Refusal
) -> None:
    def script(request: Request, client: socket.socket) -> None:
        host = request.path.strip("/")
        client.sendall(response(status="302 Found", Location=secure(server, host)))

    names = Names(pictures_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    allowed = ("127.0.0.1", "pictures.example", "other.example")
    with serve(script) as plain:
        good, bad = plain.url("/pictures.example"), plain.url("/other.example")
        assert fetch(good, resolver=names, allowed_hosts=allowed)[1] == PICTURE
        error = refusal(bad, resolver=names, allowed_hosts=allowed)
    assert error.code == "certificate_invalid"


def test_a_handshake_that_never_ends_is_ended(refusal: Refusal) -> None:
    """The listener takes the connection and says nothing, so the handshake waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = refusal(f"https://127.0.0.1:{port}/", allowed_hosts=("127.0.0.1",), timeout=0.3)
    assert error.code == "fetch_timeout"
