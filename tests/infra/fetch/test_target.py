"""How the text of an address is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchapp.infra.fetch import FetchError
from searchapp.infra.fetch.target import Target, parse_target


def code_of(url: str) -> str:
    with pytest.raises(FetchError) as caught:
        parse_target(url)
    assert not caught.value.retryable
    return caught.value.code


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.org", "http://example.org/"),
        ("  https://example.org/a.jpg\n", "https://example.org/a.jpg"),
        ("HTTPS://EXAMPLE.ORG:443/A.jpg", "https://example.org/A.jpg"),
        ("http://example.org./a.jpg", "http://example.org/a.jpg"),
        ("http://example.org:8080/a?b=c#d", "http://example.org:8080/a?b=c"),
        ("http://example.org:/a", "http://example.org/a"),
        ("https://example.org?b=c", "https://example.org/?b=c"),
        ("https://example.org/my picture.jpg", "https://example.org/my%20picture.jpg"),
        ("https://example.org/k%C3%A4se.jpg", "https://example.org/k%C3%A4se.jpg"),
        ("https://example.org/käse.jpg", "https://example.org/k%C3%A4se.jpg"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
        ("https://例え。テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://img_1.example.org/", "https://img_1.example.org/"),
        ("http://[2001:4860:4860:0::8888]:8080/", "http://[2001:4860:4860::8888]:8080/"),
    ],
)
def test_addresses_get_one_spelling(url: str, expected: str) -> None:
    assert parse_target(url).url == expected


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.01",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
    ],
)
def test_every_spelling_of_an_ipv4_address_is_that_address(host: str) -> None:
    target = parse_target(f"http://{host}/")
    assert target.host == "127.0.0.1"
    assert str(target.address) == "127.0.0.1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "   ",
        "example.org/a.jpg",
        "//example.org/a.jpg",
        "picture.jpg",
        "http:",
        "http://",
        "http:///a.jpg",
        "http:example.org",
        "http://:80/",
        "http://./",
        "http://..",
        "http://a..b/",
        "http://-a.example/",
        "http://a-.example/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 130}example/",
        f"http://example.org/{'a' * 5000}",
        "http://exa mple.org/",
        "http://example.org\\@127.0.0.1/",
        "http://example.org/\r\nX-Injected: 1",
        "http://exam\tple.org/",
        "http://example.org/\x00",
        "http://example.org/\ud800",
        "http://example%2eorg/",
        "http://127.0.0.1%2f.example.org/",
        "http://example.org:port/",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://example.org:-1/",
        "http://example.org:８０/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://example.1/",
        "http://0x/",
        "http://[::1",
        "http://::1/",
        "http://[::1]example.org/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[v1.fe80]/",
        "http://[127.0.0.1]/",
        "http://[]/",
        "http://example.org／.evil.example/",
        "http://a\u200db.example/",
        "http://\u2100.example/",
    ],
)
def test_unreadable_addresses_are_invalid(url: str) -> None:
    assert code_of(url) == "address_invalid"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a.jpg",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "unix:///run/redis.sock",
        "ws://example.org/",
    ],
)
def test_only_http_and_https_are_read(url: str) -> None:
    assert code_of(url) == "scheme_not_allowed"


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pass@example.org/",
        "http://user@example.org/",
        "http://@example.org/",
        "http://example.org@127.0.0.1/",
        "http://127.0.0.1:80@example.org:80/",
    ],
)
def test_user_names_and_passwords_are_refused(url: str) -> None:
    assert code_of(url) == "credentials_not_allowed"


def test_a_redirect_is_read_relative_to_where_it_came_from() -> None:
    start = parse_target("https://example.org/a/b.jpg?size=1")
    assert start.follow("c.jpg").url == "https://example.org/a/c.jpg"
    assert start.follow("/c d.jpg#e").url == "https://example.org/c%20d.jpg"
    assert start.follow("//other.example/").url == "https://other.example/"
    assert start.follow("http://2130706433/").host == "127.0.0.1"


@given(st.text(max_size=60) | st.text(max_size=40).map("http://".__add__))
def test_any_text_is_read_or_refused(url: str) -> None:
    try:
        target = parse_target(url)
    except FetchError:
        return
    assert isinstance(target, Target)
    assert target.url.isascii()
    assert parse_target(target.url) == target, "the canonical spelling stands for itself"
