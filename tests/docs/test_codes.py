"""The tables of codes name every code in the source, with its status, and no other."""

from __future__ import annotations

from typing import get_args

from rest_framework import exceptions

from embeddings.errors import ImageErrorCode
from harness.installation import ROOT
from searchapp.models import ImageState
from tests.docs.codes import codes, of_requests
from tests.docs.markdown import code, tables

# Django REST framework's own, as far as a request of ours can meet them.
FRAMEWORK = (
    exceptions.ParseError,
    exceptions.NotAuthenticated,
    exceptions.PermissionDenied,
    exceptions.NotFound,
    exceptions.MethodNotAllowed,
    exceptions.NotAcceptable,
    exceptions.UnsupportedMediaType,
    exceptions.ValidationError,
)
# Sentences of pages, which have no code to show.
PAGES_ONLY = {"no_picture", "unknown_dataset", "csrf_failed"}
# The door to Milvus answers its callers with these; a request meets `vectors_unavailable` or 500.
INSIDE = {
    "collection_missing", "collection_not_loaded", "dimension_mismatch", "invalid_vectors",
    "vectors_failed",
}  # fmt: skip

_api = [row for _, rows in tables(ROOT / "docs" / "api.md") for row in rows if "code" in row]
requests = {code(row["code"]): int(row["status"]) for row in _api if "status" in row}
images = {code(row["code"]): code(row["state"]) for row in _api if "state" in row}
library = {
    code(row["code"])
    for _, rows in tables(ROOT / "docs" / "embeddings.md")
    for row in rows
    if "code" in row
}


def test_every_code_of_the_application_is_documented_and_no_other() -> None:
    source = set(of_requests()) - PAGES_ONLY - INSIDE
    framework = {str(error.default_code) for error in FRAMEWORK}
    assert set(requests) | set(images) == source | framework


def test_every_code_of_the_library_is_documented_and_no_other() -> None:
    assert library == set(codes("embeddings"))


def test_statuses_are_those_of_the_source() -> None:
    for name, statuses in of_requests().items():
        if name in requests and statuses:
            assert statuses == {requests[name]}, name


def test_statuses_of_the_framework_are_as_documented() -> None:
    for error in FRAMEWORK:
        assert requests[str(error.default_code)] == error.status_code


def test_what_can_be_wrong_with_a_picture_stands_together() -> None:
    """The page says 'the codes from `empty_file` to `hostile`' of an image's own."""
    every = list(requests)
    some = every[every.index("empty_file") : every.index("hostile") + 1]
    assert set(some) == {*get_args(ImageErrorCode), "file_too_large"}


def test_states_are_states() -> None:
    assert set(images.values()) == {ImageState.REJECTED.value, ImageState.FAILED.value}
