"""Who may open and send what: every address of pages and API, asked by everybody.

An address without an entry here fails: nobody adds a door without saying whom it lets in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from searchapp.models import (
    ApiKey,
    Image,
    ImageState,
    Scope,
    Visibility,
)
from searchapp.services.datasets import dataset_deletion
from tests.permissions.conftest import PEOPLE, House

# Nothing there depends on a dataset of the address, or what one sees is one's own.
OF_NO_DATASET = {
    "home", "search-post", "results", "query-picture", "datasets", "dataset-new", "credits",
    "login", "logout", "jobs", "datasets-deleted", "api-datasets", "api-search", "api-schema",
    "api-docs", "api-jobs", "api-uploads", "api-pipelines", "query-regions", "robots-txt",
    "favicon", "security-txt",
}  # fmt: skip
# For staff, whatever datasets they are in: tested where they are made.
OF_STAFF = {"audits", "audit", "api-audits", "api-audit"}
# Of a public dataset everybody who is signed in may have a copy; only members can leave it, which
# others are told in words.
COPIED_BY_ANYBODY = {"dataset-copy", "api-copy", "dataset-leave"}
# Their method is POST, and they change nothing.
READS_BY_POST = {"api-compare", "api-search"}
LOOKS = {"viewer", "editor", "owner", "superuser"}
EDITS = LOOKS - {"viewer"}
MANAGES = EDITS - {"editor"}


@dataclass(frozen=True)
class Door:
    """An address with a method, and whom it lets in where the dataset is private."""

    name: str
    method: str
    lets_in: set[str]
    keys: tuple[str, ...] = ("slug",)
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    # Whether anybody may look where the dataset is public.
    public: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


BOTH = {"image": "image", "with": "image"}
TUS = {"Tus-Resumable": "1.0.0"}
DOORS = [
    Door("dataset", "get", LOOKS, public=True),
    Door("dataset-import", "get", EDITS),
    Door("dataset-import", "post", EDITS),
    Door("dataset-bulk", "post", EDITS, body={"action": "delete", "image": "image"}),
    Door("dataset-undo", "post", EDITS),
    Door("dataset-settings", "get", MANAGES),
    Door("dataset-settings", "post", MANAGES, body={"name": "x", "visibility": "public"}),
    Door("member-add", "post", MANAGES, body={"username": "outsider", "role": "owner"}),
    Door("member-change", "post", MANAGES, body={"username": "viewer", "role": "owner"}),
    Door("dataset-leave", "post", LOOKS),
    Door("dataset-copy", "post", LOOKS),
    Door("dataset-delete", "post", MANAGES, body={"number": "2"}),
    Door("dataset-restore", "post", MANAGES, ("gone",)),
    Door("dataset-indexes", "get", EDITS),
    Door("dataset-indexes-compare", "get", EDITS),
    Door("dataset-index-act", "post", MANAGES, ("slug", "index", "activate")),
    Door("image", "get", LOOKS, ("image",), public=True),
    Door("image-edit", "post", EDITS, ("image",), body={"title": "x"}),
    Door("image-delete", "post", EDITS, ("image",)),
    Door("image-regions", "get", LOOKS, ("image",), public=True),
    Door("compare", "get", LOOKS, (), BOTH, public=True),
    Door("compare-why", "get", LOOKS, (), BOTH, public=True),
    Door("compare-heat", "get", LOOKS, ("first",), BOTH, public=True),
    Door("job", "get", EDITS, ("job",)),
    Door("job-items", "get", EDITS, ("job",)),
    Door("job-ledger", "get", EDITS, ("job",)),
    Door("job-act", "post", EDITS, ("job", "pause")),
    Door("media-original", "get", LOOKS, ("image",), public=True),
    Door("media-thumbnail", "get", LOOKS, ("image", "side"), public=True),
    Door("media-thumbnail", "get", EDITS, ("deleted", "side")),
    Door("api-dataset", "get", LOOKS, public=True),
    Door("api-dataset", "patch", MANAGES, body={"visibility": "public"}),
    Door("api-dataset", "delete", MANAGES),
    Door("api-images", "get", LOOKS, public=True),
    Door("api-images", "post", EDITS),
    Door("api-bulk", "post", EDITS, body={"action": "delete", "filter": {"state": "ready"}}),
    Door("api-copy", "post", LOOKS, body={"name": "x"}),
    Door("api-restore", "post", MANAGES, ("gone-slug",)),
    Door("api-transfer", "post", {"superuser"}, body={"username": "outsider"}),
    Door("api-members", "get", MANAGES),
    Door("api-member", "get", MANAGES, ("slug", "holder")),
    Door("api-member", "put", MANAGES, ("slug", "outsider"), body={"role": "owner"}),
    Door("api-member", "delete", MANAGES | {"viewer"}, ("slug", "viewer")),
    Door("api-image", "get", LOOKS, ("image",), public=True),
    Door("api-image", "patch", EDITS, ("image",), body={"title": "x"}),
    Door("api-image", "delete", EDITS, ("image",)),
    Door("api-image-restore", "post", EDITS, ("deleted",)),
    Door("api-regions", "get", LOOKS, (), {"image_id": "image"}, public=True),
    Door(
        "api-compare",
        "post",
        LOOKS,
        (),
        {"image_id": "image", "with_image_id": "image"},
        public=True,
    ),
    Door("api-facets", "get", LOOKS, (), {"dataset": "slug"}, public=True),
    Door("api-job", "get", EDITS, ("job",)),
    # One's own, and all that editors may see.
    Door("api-imports", "get", LOOKS, public=True),
    Door("api-imports", "post", EDITS, body={"kind": "upload"}),
    Door("api-job-items", "get", EDITS, ("job",)),
    Door("api-job-ledger", "get", EDITS, ("job",)),
    *(
        Door(f"api-job-{action}", "post", EDITS, ("job",))
        for action in ("pause", "resume", "cancel", "retry", "close")
    ),
    Door("api-upload", "head", {"editor"}, ("upload",), headers=TUS),
    Door("api-upload", "patch", {"editor"}, ("upload",), headers={**TUS, "Upload-Offset": "0"}),
    Door("api-upload", "delete", {"editor"}, ("upload",), headers=TUS),
    Door("api-indexes", "get", EDITS),
    Door("api-indexes", "post", MANAGES),
    Door("api-index-rollback", "post", MANAGES),
    Door("api-index", "get", EDITS, ("index",)),
    *(
        Door(f"api-index-{action}", "post", MANAGES, ("index",))
        for action in ("activate", "retire", "retry")
    ),
    Door("api-index-compare", "get", EDITS, ("index",)),
]


def addresses() -> Iterator[str]:
    def walk(patterns: list[Any]) -> Iterator[str]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                if not str(pattern.pattern).startswith("admin/"):  # staff alone: see tests/admin
                    yield from walk(pattern.url_patterns)
            elif isinstance(pattern, URLPattern):
                yield str(pattern.name)

    yield from walk(get_resolver().url_patterns)


def test_every_address_has_an_entry() -> None:
    known = OF_NO_DATASET | OF_STAFF | {door.name for door in DOORS}
    assert sorted(set(addresses()) - known) == []


def ask(house: House, who: str, door: Door, keys: dict[str, Any], key: str = "") -> bool:
    """Whether it lets them in, by a session or by a key of theirs. What they do there is undone."""
    address = reverse(door.name, args=[keys.get(key, key) for key in door.keys])
    body = {name: keys.get(str(value), value) for name, value in door.body.items()}
    options: dict[str, Any] = {"headers": dict(door.headers)}
    if key:
        options["headers"]["Authorization"] = f"Bearer {key}"
    if door.name.startswith("api-") and door.method not in ("get", "head"):
        options["content_type"] = "application/json"
    if door.name == "api-images" and door.method == "post":
        del options["content_type"]  # a form
    if door.name == "api-upload" and door.method == "patch":
        options["content_type"], body = "application/offset+octet-stream", {}
    with transaction.atomic():
        sent = body or ("" if door.method == "delete" else None)
        client = house.client("anonymous" if key else who)
        answer = getattr(client, door.method)(address, sent, **options)
        transaction.set_rollback(True)
    signs_in = answer.status_code == 302 and answer["Location"].startswith("/login/")
    # 503 is said to those who are let in: no worker is there to do what they ask for.
    assert answer.status_code in (*range(500), 503), (str(door), who, answer.content)
    return not signs_in and answer.status_code not in (401, 403, 404)


Found = dict[str, set[str]]


def ask_all(house: House, keys: dict[str, Any], people: Collection[str]) -> Found:
    """Whom each door lets in, of these people."""
    there = set(addresses())
    return {
        f"{door} {door.keys}": {who for who in people if ask(house, who, door, keys)}
        for door in DOORS
        if door.name in there
    }


def expected(access: Found, people: Collection[str], public: Collection[str] = ()) -> Found:
    """What `ask_all` should find; `public` are those who are let in where everybody may look."""
    doors = {f"{door} {door.keys}": door for door in DOORS}
    everybody = {name for name, door in doors.items() if door.public and public}
    signed_in = {name for name, door in doors.items() if public and door.name in COPIED_BY_ANYBODY}
    return {
        name: (
            set(people) if name in everybody
            else set(people) - {"anonymous"} if name in signed_in
            else doors[name].lets_in & set(people)
        )
        for name in access
    }  # fmt: skip


@pytest.mark.slow
def test_whom_a_private_dataset_lets_in(house: House, keys: dict[str, Any]) -> None:
    access = ask_all(house, keys, PEOPLE)
    assert access == expected(access, PEOPLE)


@pytest.mark.slow
def test_whom_a_public_dataset_lets_in(house: House, keys: dict[str, Any]) -> None:
    """To look: everybody. To copy: whoever is signed in. To do anything else: as before."""
    house.dataset.visibility = Visibility.PUBLIC
    house.dataset.save()
    access = ask_all(house, keys, PEOPLE[:3])
    assert access == expected(access, PEOPLE[:3], PEOPLE)


@pytest.mark.slow
@pytest.mark.parametrize("scope", Scope.values)
@pytest.mark.parametrize("visibility", Visibility.values)
def test_what_keys_of_a_scope_let_in(
    house: House, keys: dict[str, Any], scope: str, visibility: str
) -> None:
    """A key that may only read changes nothing, whoever has it; others do what their user may."""
    house.dataset.visibility = visibility
    house.dataset.save()
    public = PEOPLE if visibility == Visibility.PUBLIC else ()
    people = ("outsider", "viewer", "owner")
    doors = [door for door in DOORS if door.name.startswith("api-")]
    access = {}
    for door in doors:
        access[f"{door} {door.keys}"] = {
            who
            for who in people
            if ask(
                house, who, door, keys,
                ApiKey.issue(name="x", user_id=house.user(who).pk, scope=scope)[1],
            )
        }  # fmt: skip
    changes = {
        f"{door} {door.keys}"
        for door in doors
        if door.method not in ("get", "head") and door.name not in READS_BY_POST
    }
    wanted = expected(access, people, public)
    if scope == Scope.READ:
        wanted = {name: set() if name in changes else lets_in for name, lets_in in wanted.items()}
    assert access == wanted


@pytest.mark.slow
def test_a_deleted_dataset_lets_nobody_in(house: House, keys: dict[str, Any]) -> None:
    dataset_deletion.delete_dataset(house.dataset)
    access = ask_all(house, keys, ("owner", "superuser"))
    own = {name for name in access if "restore" in name and "gone" in name}
    assert {name for name, people in access.items() if people} == own
    assert Image.objects.filter(state=ImageState.READY).count() == 2
