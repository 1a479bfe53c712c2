"""Bad files in the middle of a batch: each has its own reason, and all others arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.installation import Client, Installation
from tests.application import census, pictures

BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "corrupt.png": (pictures.damaged_png, "corrupt"),
    "truncated.jpg": (lambda jpeg: jpeg[: len(jpeg) // 2], "truncated"),
    "empty.jpg": (lambda jpeg: b"", "empty_file"),
    "document.jpg": (lambda jpeg: pictures.PDF, "not_a_picture"),
    "letter.jpg": (lambda jpeg: pictures.TEXT, "not_a_picture"),
    "heavy.jpg": (pictures.oversized, "file_too_large"),
    "huge.gif": (lambda jpeg: pictures.huge_gif(), "too_many_pixels"),
    "bomb.png": (pictures.text_bomb, "hostile"),
}
MISLABELLED = "really-a-png.jpg"  # and good: content decides


@pytest.fixture(scope="module")
def batch(_survivor: Installation, owner: Client) -> dict[str, Any]:
    """One request of good and bad files in turn, worked off."""
    _survivor.wait_ready()
    good = pictures.pictures(len(BAD) + 2, seed=100)
    (_, spare), *rest = good.items()
    files = [rest[0], (MISLABELLED, pictures.as_png(spare))]
    for one, (name, (make, _)) in zip(rest[1:], BAD.items(), strict=True):
        files += [(name, make(one[1])), one]
    slug = owner.dataset("mixed batch")
    job = owner.upload(slug, *files)
    assert [item["name"] for item in job["items"]] == [name for name, _ in files]
    finished = owner.finished(job["job"], census.PATIENCE)
    return {"slug": slug, "files": dict(files), "job": finished}


def _item(batch: dict[str, Any], name: str) -> dict[str, Any]:
    (item,) = [item for item in batch["job"]["items"] if item["name"] == name]
    return item  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_has_its_own_reason(name: str, owner: Client, batch: dict[str, Any]) -> None:
    code = BAD[name][1]
    item = _item(batch, name)
    assert (item["state"], item["error"]["code"]) == ("rejected", code)
    assert item["error"]["detail"].endswith(".")

    image = owner.get(f"/images/{item['id']}/")
    assert image.status_code == 200
    assert image.json()["state"] == "rejected"
    assert image.json()["error"] == item["error"]


def test_all_others_arrive(survivor: Installation, owner: Client, batch: dict[str, Any]) -> None:
    job, good = batch["job"], [name for name in batch["files"] if name not in BAD]
    assert job["state"] == "finished_with_errors"
    assert (job["ready"], job["rejected"], job["failed"]) == (len(good), len(BAD), 0)
    for name in good:
        item = _item(batch, name)
        assert (item["state"], item["error"]) == ("ready", None)
        answer = owner.search(batch["files"][name], dataset=batch["slug"], top_k=1).json()
        assert answer["results"][0]["image"]["id"] == item["id"]
    stored = census.all_vectors(f"unix:{survivor.data}/run/milvus.sock")
    assert not {_item(batch, name)["id"] for name in BAD} & set(stored)


def test_content_and_not_the_name_says_what_a_file_is(owner: Client, batch: dict[str, Any]) -> None:
    image = owner.get(f"/images/{_item(batch, MISLABELLED)['id']}/").json()
    assert (image["state"], image["format"]) == ("ready", "png")
