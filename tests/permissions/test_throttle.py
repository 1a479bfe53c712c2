"""Guessing is limited, by name and address; who is right signs in from elsewhere all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client, RequestFactory

from searchapp.infra.client_address import client_network
from searchapp.models import ApiKey, Scope
from searchapp.services.throttle import KEYS, PASSWORDS, PASSWORDS_OF_NAME

RIGHT = "correct-horse-battery"
FORMS = ["/login/", "/admin/login/"]


@pytest.fixture(autouse=True)
def people(db: None) -> Iterator[User]:
    cache.clear()
    user = User.objects.create_superuser("ann", password=RIGHT)
    User.objects.create_superuser("bob", password=RIGHT)
    yield user
    cache.clear()


def sign_in(form: str, name: str, password: str, address: str = "192.0.2.1", **headers: str) -> Any:
    data = {"username": name, "password": password}
    return Client().post(form, data, REMOTE_ADDR=address, headers=headers)


@pytest.mark.parametrize("form", FORMS)
def test_wrong_passwords_of_a_name_are_limited(form: str) -> None:
    for _ in range(PASSWORDS_OF_NAME.number):
        assert sign_in(form, "ann", "wrong").status_code == 200
    refused = sign_in(form, "ann", RIGHT)  # even the right one: else guessing would go on
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= PASSWORDS_OF_NAME.seconds
    assert "Too many wrong passwords" in refused.content.decode()
    assert sign_in(form, "Ann", "wrong").status_code == 429
    assert sign_in(form, "bob", RIGHT).status_code == 302
    assert sign_in(form, "ann", RIGHT, "192.0.2.2").status_code == 302
    assert sign_in(FORMS[1 - FORMS.index(form)], "ann", RIGHT).status_code == 429


def test_a_right_password_ends_the_count() -> None:
    for _ in range(3):
        for _ in range(PASSWORDS_OF_NAME.number - 1):
            assert sign_in("/login/", "ann", "wrong").status_code == 200
        assert sign_in("/login/", "ann", RIGHT).status_code == 302


def test_wrong_passwords_of_many_names_are_limited_by_address() -> None:
    for number in range(PASSWORDS.number):
        assert sign_in("/login/", f"name-{number}", "wrong").status_code == 200
    assert sign_in("/login/", "bob", RIGHT).status_code == 429
    assert sign_in("/login/", "bob", RIGHT, "2001:db8::1").status_code == 302


def test_wrong_keys_are_limited_and_right_ones_are_not() -> None:
    key = ApiKey.issue(name="x", user_id=User.objects.get(username="ann").pk, scope=Scope.READ)[1]

    def ask(secret: str) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        return Client().get("/api/v1/jobs/", headers=headers, REMOTE_ADDR="192.0.2.3")

    for _ in range(KEYS.number):
        assert (ask("lk_wrong").status_code, ask(key).status_code) == (401, 200)
    refused = ask("lk_wrong")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert 0 < int(refused["Retry-After"]) <= KEYS.seconds
    assert ask(key).status_code == 200


@pytest.mark.parametrize(
    ("trusted", "forwarded", "expected"),
    [
        (False, "198.51.100.7", "192.0.2.1"),
        (True, "198.51.100.7", "198.51.100.7"),
        (True, "10.0.0.1, 198.51.100.7", "198.51.100.7"),
        (True, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (True, "::ffff:198.51.100.7", "198.51.100.7"),
        (True, "", "192.0.2.1"),
        (True, "nonsense" * 20, ("nonsense" * 20)[:60]),
    ],
)
def test_whose_address_counts(settings: Any, trusted: bool, forwarded: str, expected: str) -> None:
    settings.PROXY_HEADERS = trusted
    request = RequestFactory().get(
        "/", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": forwarded}
    )
    assert client_network(request) == expected
