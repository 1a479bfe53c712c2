"""Places that must never be connected to, whichever way they are named or reached."""

import socket
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchapp.infra.fetch import FetchError
from tests.infra.fetch.conftest import PICTURE, Fetch, Names
from tests.infra.fetch.servers import redirecting, response, sending, serve
from tests.infra.fetch.test_networks import PUBLIC_IPV4, PUBLIC_IPV6, forbidden

Refusal = Callable[..., FetchError]


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to connect, which is none where a test asks for this."""
    attempts: list[object] = []

    def connect(_self: socket.socket, address: object) -> None:
        attempts.append(address)
        raise OSError("this test connects to nothing")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return attempts


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "１２７.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.168.0.1",
        "198.51.100.7",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::10.0.0.1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[fc00::1]",
        "[fe80::1]",
        "[ff02::1]",
        "localhost",
        "LOCALHOST.",
        "app.localhost",
        "redis",
        "printer.local",
        "metadata.google.internal",
        "nas.home.arpa",
    ],
)
def test_places_that_are_not_public_are_refused(
    host: str, refusal: Refusal, no_connections: list[object]
) -> None:
    resolver = Names()  # knows no name: a local one is refused before it is looked up
    error = refusal(f"http://{host}/picture.jpg", resolver=resolver)
    assert error.code == "address_not_allowed"
    assert not error.retryable
    assert not no_connections
    assert not resolver.asked


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bad=forbidden,
    good=st.lists(st.sampled_from([*PUBLIC_IPV4, *PUBLIC_IPV6]), max_size=6),
    position=st.integers(0, 6),
)
def test_one_forbidden_address_among_many_refuses_the_name(
    bad: object, good: list[str], position: int, refusal: Refusal, no_connections: list[object]
) -> None:
    answer = [*good[:position], str(bad), *good[position:]]
    error = refusal("http://mixed.example/", resolver=lambda _host: answer)
    assert error.code == "address_not_allowed"
    assert str(bad) not in error.detail
    assert not no_connections


@pytest.mark.parametrize("port", [1, 22, 25, 6379, 8080, 65535])
def test_other_ports_are_refused(port: int, refusal: Refusal, no_connections: list[object]) -> None:
    error = refusal(f"http://8.8.8.8:{port}/")
    assert error.code == "port_not_allowed"
    assert "80, 443" in error.detail
    assert not no_connections


def test_the_ports_are_a_rule_of_the_policy(refusal: Refusal, no_connections: list[object]) -> None:
    error = refusal("http://8.8.8.8:8080/", allowed_ports=(8080,))
    assert error.code == "fetch_failed"
    assert no_connections == [("8.8.8.8", 8080)]
    assert refusal("http://8.8.8.8/", allowed_ports=(8080,)).code == "port_not_allowed"


def test_only_the_addresses_that_were_judged_are_connected_to(
    refusal: Refusal, no_connections: list[object]
) -> None:
    names = Names(two_faced_example=[["93.184.216.34", "2606:4700:4700::1111"], ["127.0.0.1"]])
    refusal("https://two.faced.example/", resolver=names)
    assert no_connections == [("93.184.216.34", 443), ("2606:4700:4700::1111", 443)]
    assert names.asked == ["two.faced.example"]


def test_a_name_that_changes_its_answer_is_held_to_the_first(fetch: Fetch) -> None:
    """A rebinding name: its first answer is served by one server, its second by another."""
    with (
        serve(sending(response(PICTURE))) as first,
        serve(sending(response(b"wrong")), host="127.0.0.2", port=first.port) as second,
    ):
        names = Names(rebinding_example=[["127.0.0.1"], ["127.0.0.2"]])
        url = first.url(host="rebinding.example")
        allowed = (f"rebinding.example:{first.port}",)
        _, content = fetch(url, resolver=names, allowed_hosts=allowed)
    assert content == PICTURE
    assert names.asked == ["rebinding.example"]
    assert not second.requests
    assert first.requests[0].headers["host"] == f"rebinding.example:{first.port}"


def test_the_next_address_is_tried_when_one_does_not_answer(fetch: Fetch) -> None:
    with serve(sending(response(PICTURE))) as server:
        names = Names(pair_example=[["127.0.0.3", "127.0.0.1"]])
        allowed = ("pair.example",)
        url = server.url(host="pair.example")
        assert fetch(url, resolver=names, allowed_hosts=allowed)[1] == PICTURE


def test_addresses_that_stay_silent_share_the_time(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float | None] = []

    def connect(sock: socket.socket, _address: object) -> None:
        limits.append(sock.gettimeout())
        raise TimeoutError("nobody answers")

    monkeypatch.setattr(socket.socket, "connect", connect)
    answer = list(PUBLIC_IPV4)
    error = refusal("http://silent.example/", resolver=lambda _host: answer, timeout=20)
    assert error.code == "fetch_timeout"
    assert len(limits) == 4, "no more than four addresses of a name are tried"
    for limit, share in zip(limits, (5, 20 / 3, 10, 20), strict=True):
        assert limit is not None
        assert 0 < limit <= share


@pytest.mark.parametrize("answer", [socket.gaierror(socket.EAI_NONAME, "no"), OSError("no"), []])
def test_unknown_names_are_not_found(answer: object, refusal: Refusal) -> None:
    def resolver(_host: str) -> list[str]:
        if isinstance(answer, OSError):
            raise answer
        return []

    error = refusal("http://nobody.example/", resolver=resolver)
    assert error.code == "host_not_found"
    assert not error.retryable


def test_a_name_service_that_is_away_is_worth_another_try(refusal: Refusal) -> None:
    def resolver(_host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    error = refusal("http://somebody.example/", resolver=resolver)
    assert error.code == "host_not_found"
    assert error.retryable


class TestRedirects:
    def test_five_are_followed_and_the_last_address_is_given(self, fetch: Fetch) -> None:
        script = redirecting(*["{next}"] * 5, last=response(PICTURE))
        with serve(script) as server:
            fetched, content = fetch(server.url("/0"), server)
        assert content == PICTURE
        assert fetched.final_url == server.url("/5")

    def test_a_sixth_is_one_too_many(self, refusal: Refusal) -> None:
        script = redirecting(*["{next}"] * 6, last=response(PICTURE))
        with serve(script) as server:
            error = refusal(server.url("/0"), server)
        assert error.code == "too_many_redirects"
        assert [request.path for request in server.requests] == [f"/{n}" for n in range(6)]

    def test_a_loop_ends(self, refusal: Refusal) -> None:
        with serve(sending(response(status="301 Moved", Location="/"))) as server:
            assert refusal(server.url("/"), server).code == "too_many_redirects"

    def test_none_are_followed_when_the_policy_says_so(self, refusal: Refusal) -> None:
        script = redirecting("{next}", last=response(PICTURE))
        with serve(script) as server:
            error = refusal(server.url("/0"), server, max_redirects=0)
        assert error.code == "too_many_redirects"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_each_kind_is_followed_by_a_plain_get(self, status: int, fetch: Fetch) -> None:
        answer = response(status=f"{status} Elsewhere")
        with serve(sending(response(PICTURE))) as there:
            answer = response(status=f"{status} Elsewhere", Location=there.url("/x"))
            with serve(sending(answer)) as here:
                assert fetch(here.url(), here, there)[1] == PICTURE
        assert there.requests[0].path == "/x"
        assert there.requests[0].headers["host"] == there.authority

    @pytest.mark.parametrize(
        ("location", "code"),
        [
            ("http://169.254.169.254/latest/meta-data/", "address_not_allowed"),
            ("http://127.0.0.1/", "address_not_allowed"),
            ("http://2130706433/", "address_not_allowed"),
            ("//[::1]/", "address_not_allowed"),
            ("http://[::ffff:10.0.0.1]/", "address_not_allowed"),
            ("http://localhost/", "address_not_allowed"),
            ("http://inner.example/", "address_not_allowed"),
            ("http://8.8.8.8:22/", "port_not_allowed"),
            ("file:///etc/passwd", "scheme_not_allowed"),
            ("gopher://127.0.0.1:6379/", "scheme_not_allowed"),
            ("http://user:secret@example.org/", "credentials_not_allowed"),
            ("http://[::1/", "address_invalid"),
            ("http://exa\tmple.org/", "address_invalid"),
            ("http://nobody.example/", "host_not_found"),
        ],
    )
    def test_each_hop_is_judged_in_full(self, location: str, code: str, refusal: Refusal) -> None:
        def resolver(host: str) -> list[str]:
            if host == "inner.example":
                return ["93.184.216.34", "10.0.0.1"]
            raise socket.gaierror(socket.EAI_NONAME, "no such name")

        script = redirecting("{next}", location, last=response(PICTURE))
        with serve(script) as server:
            error = refusal(server.url("/0"), server, resolver=resolver)
        assert error.code == code
        assert len(server.requests) == 2
        for secret in ("169.254", "10.0.0.1", "secret", "6379", "inner.example"):
            assert secret not in error.detail

    def test_a_name_is_looked_up_again_at_each_hop(self, refusal: Refusal) -> None:
        """Allowed with its port, the name is judged like any other without it."""
        script = redirecting("http://fickle.example/", last=response(PICTURE))
        with serve(script) as server:
            names = Names(fickle_example=[["127.0.0.1"], ["10.0.0.1"]])
            url = server.url("/0", host="fickle.example")
            allowed = (f"fickle.example:{server.port}",)
            error = refusal(url, resolver=names, allowed_hosts=allowed)
        assert error.code == "address_not_allowed"
        assert names.asked == ["fickle.example", "fickle.example"]

    def test_nowhere_is_a_status(self, refusal: Refusal) -> None:
        with serve(sending(response(status="302 Found"))) as server:
            assert refusal(server.url(), server).code == "fetch_status"
