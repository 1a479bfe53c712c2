"""Kinds, edits and the cut-off, as the whole application answers them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from embeddings.geometry.kinds import Kind
from harness.installation import ROOT, Client

GIRAFFE = ROOT / "demo" / "erase-giraffe.jpg"
ORDER = [str(kind) for kind in Kind]


def _saved(picture: Pillow.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _asked(client: Client, picture: bytes, **fields: Any) -> dict[str, Any]:
    answer = client.search(picture, dataset="demo", **fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture(scope="module")
def giraffe() -> Pillow.Image:
    return Pillow.open(GIRAFFE).convert("RGB")


def test_the_same_file_and_the_same_pixels_are_identical(
    admin: Client, giraffe: Pillow.Image
) -> None:
    for picture in (GIRAFFE.read_bytes(), _saved(Pillow.open(GIRAFFE), "PNG")):
        first = _asked(admin, picture)["results"][0]
        assert (first["kind"], first["edits"]) == ("identical", [])
        assert first["image"]["title"] == "Giraffe"
        assert first["verified"]


def test_an_edited_copy_is_named_and_its_edit(admin: Client, giraffe: Pillow.Image) -> None:
    mirrored = _saved(ImageOps.mirror(giraffe), quality=90)
    answer = _asked(admin, mirrored)
    first = answer["results"][0]
    assert answer["verified"]
    assert first["kind"] == "near-duplicate"
    assert "mirrored" in first["edits"]
    assert first["reason"]
    assert not answer["cutoff"]["nothing_like_it"]
    again = _asked(admin, mirrored)
    assert [one["kind"] for one in again["results"]] == [one["kind"] for one in answer["results"]]
    plain = _asked(admin, mirrored, verify="false")
    assert not plain["verified"]
    assert plain["took_ms"]["verify"] == 0
    assert {one["kind"] for one in plain["results"]} <= {"similar", "weak"}
    assert plain["results"][0]["image"]["id"] == first["image"]["id"]


@pytest.mark.parametrize("top_k", [1, 7, 30])
def test_the_cut_off_labels_and_never_shortens(
    admin: Client, giraffe: Pillow.Image, top_k: int
) -> None:
    answer = _asked(admin, GIRAFFE.read_bytes(), top_k=top_k)
    results, cutoff = answer["results"], answer["cutoff"]
    assert len(results) == top_k
    kinds = [one["kind"] for one in results]
    assert kinds == sorted(kinds, key=ORDER.index)
    assert cutoff["kinds"] == {kind: kinds.count(kind) for kind in ORDER}
    assert cutoff["reason"]
    for one in results:
        if one["kind"] in ("similar", "weak"):
            assert (one["kind"] == "similar") == (one["score"] >= cutoff["score"])


def test_nothing_like_it_is_an_answer(admin: Client) -> None:
    noise = _saved(Pillow.effect_noise((320, 240), 90).convert("RGB"), "PNG")
    answer = _asked(admin, noise, top_k=5)
    assert answer["cutoff"]["nothing_like_it"]
    assert [one["kind"] for one in answer["results"]] == ["weak"] * 5


def test_a_stored_picture_finds_itself_as_identical(admin: Client) -> None:
    pk = _asked(admin, GIRAFFE.read_bytes(), top_k=1)["results"][0]["image"]["id"]
    answer = admin.post("/search/", json={"image_id": pk, "dataset": "demo", "top_k": 2}).json()
    assert answer["results"][0]["image"]["id"] == pk
    assert answer["results"][0]["kind"] == "identical"
    part = {"image_id": pk, "dataset": "demo", "top_k": 2, "box": [0.1, 0.1, 0.7, 0.8]}
    first = admin.post("/search/", json=part).json()["results"][0]
    assert (first["image"]["id"], first["kind"]) == (pk, "near-duplicate")


def test_verify_is_a_yes_or_no(admin: Client, demo_files: list[Path]) -> None:
    answer = admin.search(demo_files[0].read_bytes(), verify="perhaps")
    assert answer.status_code == 400
    assert "verify" in answer.text
