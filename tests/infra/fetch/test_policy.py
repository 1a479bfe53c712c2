"""The rules of a fetch, and where they come from."""

import io

import pytest
from pytest_django.fixtures import Settings

from searchapp.infra.fetch import FetchError, FetchPolicy, fetch_picture
from searchapp.infra.fetch.target import parse_target
from tests.infra.fetch.conftest import PICTURE
from tests.infra.fetch.servers import response, sending, serve


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("pictures.lan", "http://pictures.lan/", True),
        ("pictures.lan", "https://pictures.lan:8443/", True),
        ("Pictures.LAN.", "http://pictures.lan/", True),
        ("pictures.lan", "http://pictures.lan./", True),
        ("pictures.lan", "http://more.pictures.lan/", False),
        ("pictures.lan", "http://pictures.lan.example/", False),
        ("pictures.lan:8080", "http://pictures.lan:8080/", True),
        ("pictures.lan:8080", "http://pictures.lan/", False),
        ("pictures.lan:80", "http://pictures.lan/", True),
        ("127.0.0.1:8080", "http://2130706433:8080/", True),
        ("127.0.0.1", "http://127.0.0.2/", False),
        ("bücher.example", "http://xn--bcher-kva.example/", True),
        ("[::1]:8080", "http://[0:0::1]:8080/", True),
        ("[::1]", "http://[::1]/", True),
        ("::1", "http://[::1]:99/", True),
        ("[::1]:8080", "http://[::1]/", False),
    ],
)
def test_exceptions_speak_for_one_host(entry: str, url: str, allowed: bool) -> None:
    assert FetchPolicy(allowed_hosts=(entry,)).excepts(parse_target(url)) is allowed


@pytest.mark.parametrize(
    "entry", ["", "a b", "host:port", "host:0", "http://host/", "*.lan", "a/b"]
)
def test_an_exception_that_is_no_host_is_refused_with_its_text(entry: str) -> None:
    with pytest.raises(ValueError, match="allowed_hosts has") as caught:
        FetchPolicy(allowed_hosts=(entry,))
    assert repr(entry) in str(caught.value)


@pytest.mark.parametrize(
    "rules",
    [
        {"allowed_ports": (0,)},
        {"allowed_ports": (80, 65536)},
        {"max_bytes": 0},
        {"timeout": 0.0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"max_redirects": -1},
    ],
)
def test_rules_that_cannot_be_meant_are_refused(rules: dict[str, object]) -> None:
    (name,) = rules
    with pytest.raises(ValueError, match=name):
        FetchPolicy(**rules)  # type: ignore[arg-type]


def test_the_policy_of_the_installation_is_read_at_each_call(settings: Settings) -> None:
    settings.FETCH_ALLOWED_PORTS = [8080]
    settings.FETCH_ALLOWED_HOSTS = ["pictures.lan"]
    settings.FETCH_TIMEOUT = 2.5
    settings.FETCH_MAX_REDIRECTS = 1
    settings.MAX_UPLOAD_BYTES = 123
    assert FetchPolicy.from_settings() == FetchPolicy(
        allowed_ports=(8080,),
        allowed_hosts=("pictures.lan",),
        timeout=2.5,
        max_redirects=1,
        max_bytes=123,
    )


def test_a_fetch_without_a_policy_keeps_to_the_installations(settings: Settings) -> None:
    with serve(sending(response(PICTURE))) as server:
        settings.FETCH_ALLOWED_HOSTS = []
        with pytest.raises(FetchError, match="port_not_allowed"):
            fetch_picture(server.url(), io.BytesIO())
        settings.FETCH_ALLOWED_HOSTS = [server.authority]
        settings.MAX_UPLOAD_BYTES = len(PICTURE) - 1
        with pytest.raises(FetchError, match="file_too_large"):
            fetch_picture(server.url(), io.BytesIO())
        settings.MAX_UPLOAD_BYTES = len(PICTURE)
        assert fetch_picture(server.url(), io.BytesIO()).bytes == len(PICTURE)
