"""Three people: the owner of what the tests make, an outsider, and nobody in particular."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.installation import Client, Installation
from tests.pictures import blurred_picture

MAKE_USER = (
    "from django.contrib.auth.models import User; User.objects.create_user('{0}', password='{1}')"
)


@pytest.fixture(scope="session")
def outsider(installation: Installation) -> Client:
    """Somebody with an account and a key, who owns nothing of what is tested."""
    installation.manage("shell", "-c", MAKE_USER.format("outsider", installation.admin_password))
    return Client(installation.url, installation.key("write", user="outsider"))


@pytest.fixture(scope="session")
def reader(installation: Installation) -> Client:
    """The administrator's key that may only read."""
    return Client(installation.url, installation.key("read"))


@pytest.fixture
def dataset(admin: Client, request: pytest.FixtureRequest) -> str:
    """A new private dataset, named after the test."""
    return admin.dataset(request.node.name[:60])


@pytest.fixture
def picture() -> Callable[[int], bytes]:
    """Make distinct small JPEGs, by number."""

    return blurred_picture


@pytest.fixture(scope="session")
def giraffe(demo_files: list[Path]) -> bytes:
    return next(path for path in demo_files if path.name == "erase-giraffe.jpg").read_bytes()
