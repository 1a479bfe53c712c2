"""What was written of a request's files is gone when the request is answered."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.test import RequestFactory

from searchapp.models import ApiKey, Image, Scope
from searchapp.services.datasets.dataset_service import create_dataset
from tests.pictures import plain_picture

ADDRESSES = [
    "/api/v1/datasets/letters/images/",
    "/api/v1/datasets/letters/imports/",
    "/api/v1/search/",
    "/api/v1/compare/",
    "/search/",
    "/compare/",
    "/datasets/letters/import/",
]
TYPE = "multipart/form-data; boundary=x"


class BrokenBody(BytesIO):
    """A connection that breaks where its bytes end."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data:
            raise OSError("connection reset")
        return data


def part(name: str, content: bytes, *, filename: str = "a.png", more: str = "") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n{more}'
    return head.encode() + b"\r\n" + content + b"\r\n"


@pytest.fixture
def drafts(db: None, settings: Any, tmp_path: Path) -> Path:
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "searchapp.infra.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        }
    }
    return tmp_path / "uploads"


def send(path: str, body: bytes, *, breaks: bool = False) -> int:
    """Send a body by WSGI, as the server in front of it would; returns the status."""
    user = User.objects.create_superuser("holder")
    create_dataset(name="Letters", owner=user)
    key = ApiKey.issue(name="x", user_id=user.pk, scope=Scope.WRITE)[1]
    headers = {"Authorization": f"Bearer {key}"}
    environ = RequestFactory().generic("POST", path, body, TYPE, headers=headers).environ
    if breaks:
        environ |= {"wsgi.input": BrokenBody(body), "CONTENT_LENGTH": str(2 * len(body))}
    statuses: list[str] = []
    application: Any = get_wsgi_application()
    answer = application(environ, lambda status, *_: statuses.append(status))
    code = int(statuses[0].split()[0])
    answer.close()
    return code


BAD_BODIES = {
    "breaks off in its second part": (
        part("file", plain_picture(1)) + part("file", plain_picture(2))[:-40], True,
    ),
    "a file name of 5,000 letters": (
        part("file", plain_picture(1), filename="a" * 5000 + ".png") + b"--x--\r\n", False,
    ),
    "an extension of 5,000 letters": (
        part("file", plain_picture(1), filename="a." + "b" * 5000) + b"--x--\r\n", False,
    ),
    "bad base64": (
        part("file", plain_picture(1))
        + part("file", b"a" * 4001 + b"=", more="Content-Transfer-Encoding: base64\r\n")
        + b"--x--\r\n",
        False,
    ),
    "no end": (part("file", plain_picture(1)), False),
    "too many parts": (part("file", b"x") * 101 + b"--x--\r\n", False),
    "another field": (part("fil", plain_picture(1)) + b"--x--\r\n", False),
}  # fmt: skip


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("body", BAD_BODIES)
def test_nothing_stays_of_a_bad_body(path: str, body: str, drafts: Path) -> None:
    content, breaks = BAD_BODIES[body]
    assert 300 <= send(path, content, breaks=breaks) < 500
    assert list(drafts.glob("*")) == []


def test_what_was_accepted_is_stored_and_nothing_stays_besides(drafts: Path) -> None:
    body = part("file", plain_picture(1)) + part("file", plain_picture(2)) + b"--x--\r\n"
    assert send("/api/v1/datasets/letters/images/", body) == 202
    assert Image.objects.count() == 2
    assert list(drafts.glob("*")) == []
