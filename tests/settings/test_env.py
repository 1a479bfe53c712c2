"""Wrong values of environment variables are refused in a sentence that names them."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from searchapp.settings.env import KNOWN, Environment


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "abc", "PORT must be a whole number from 1 to 65535, not 'abc'."),
        ("PORT", "0", "PORT must be a whole number from 1 to 65535, not '0'."),
        ("PORT", "70000", "PORT must be a whole number from 1 to 65535, not '70000'."),
        ("HOST", "http://localhost", "HOST must be a host name or an address to listen on, "
         "such as 127.0.0.1, not 'http://localhost'."),
        ("LOOKALIKE_DATA_DIR", "/x/pictures #1",
         "LOOKALIKE_DATA_DIR must not have # or ; behind a blank, not '/x/pictures #1'."),
        ("LOOKALIKE_DATA_DIR", "/x/pictures ;1",
         "LOOKALIKE_DATA_DIR must not have # or ; behind a blank, not '/x/pictures ;1'."),
        ("LOOKALIKE_DATA_DIR", "/x/pictures\n1",
         "LOOKALIKE_DATA_DIR must be the path of a folder, not '/x/pictures\\n1'."),
        ("LOOKALIKE_DEMO", "maybe", "LOOKALIKE_DEMO must be 1 or 0, not 'maybe'."),
        ("LOOKALIKE_MODE", "prod", "LOOKALIKE_MODE must be one of: local, production, not 'prod'."),
        ("LOOKALIKE_ADMIN_PASSWORD", "short",
         "LOOKALIKE_ADMIN_PASSWORD must have at least 8 characters."),
        ("DATABASE_URL", "mysql://u:secret@h/d",
         "DATABASE_URL must be an address that begins with sqlite or postgres or postgresql:."),
        ("LOOKALIKE_FETCH_PORTS", "80,99999",
         "LOOKALIKE_FETCH_PORTS must be a whole number from 1 to 65535, not '80,99999'."),
        ("LOOKALIKE_FETCH_TIMEOUT", "soon",
         "LOOKALIKE_FETCH_TIMEOUT must be a number of seconds from 0.1 to 300, not 'soon'."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        Environment({name: value})[name]
    assert str(refused.value) == sentence


@pytest.mark.parametrize("name", KNOWN)
def test_every_default_is_a_right_value(name: str) -> None:
    assert Environment({})[name] == Environment({name: ""})[name]


def test_what_production_needs_is_demanded() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^SECRET_KEY must be set when so\.$"):
        Environment({}).required("SECRET_KEY", "when so")


def test_an_unknown_variable_cannot_be_read() -> None:
    with pytest.raises(KeyError):
        Environment({"LOOKALIKE_NEW": "1"})["LOOKALIKE_NEW"]
