"""`POST /api/v1/compare/` and the heatmaps that it leads to."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from harness.installation import Client, wait_until

Picture = Callable[[int], bytes]


def edited(content: bytes, box: tuple[int, int, int, int], quality: int = 60) -> bytes:
    output = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").crop(box).save(output, "JPEG", quality=quality)
    return output.getvalue()


def heatmap(address: str, **options: Any) -> requests.Response:
    """Ask for a heatmap; for the first one a machine needs some time."""

    def ask() -> requests.Response | None:
        answer = requests.get(address, timeout=60, **options)
        return None if answer.status_code in (202, 503) else answer

    return wait_until(ask, "there is no heatmap")


def compare(client: Client, first: bytes | None, second: bytes | None, **fields: Any) -> Any:
    files = {
        name: (f"{name}.jpg", content)
        for name, content in (("image", first), ("with_image", second))
        if content is not None
    }
    return client.post("/compare/", files=files or None, data=fields)


@pytest.fixture(scope="module")
def stored(anyone: Client, giraffe: bytes) -> int:
    """The stored image of the demo's giraffe."""
    match = anyone.search(giraffe, dataset="demo", top_k=1).json()["results"][0]
    return int(match["image"]["id"])


def test_a_crop_is_a_copy_and_says_where_it_lies(
    anyone: Client, giraffe: bytes, stored: int
) -> None:
    width, height = Image.open(io.BytesIO(giraffe)).size
    crop = edited(giraffe, (width // 5, height // 10, width, height))
    body = compare(anyone, crop, None, with_image_id=stored).json()
    assert body["kind"] == "near-duplicate"
    assert body["verdict"].endswith(".")
    assert body["geometry"]["inliers"] >= 6
    corner = body["geometry"]["outline"][0]
    assert corner == pytest.approx([0.2, 0.1], abs=0.02)
    assert 0.5 < body["score"] < 1
    assert (body["first"]["height"], body["second"]["image_id"]) == (height - height // 10, stored)
    page = requests.get(body["page_url"], timeout=60)
    assert page.status_code == 200
    assert body["verdict"] in page.text.replace("\u00a0", " ")
    for address in body["heatmaps"].values():
        heat = heatmap(address)
        assert heat.headers["Content-Type"] == "image/webp"
        drawn = Image.open(io.BytesIO(heat.content))
        assert max(drawn.size) == 512


def test_the_same_pixels_are_identical_however_they_were_saved(
    anyone: Client, giraffe: bytes, stored: int
) -> None:
    output = io.BytesIO()
    Image.open(io.BytesIO(giraffe)).convert("RGB").save(output, "PNG")
    assert compare(anyone, output.getvalue(), None, with_image_id=stored).json()["kind"] == (
        "identical"
    )
    body = compare(anyone, giraffe, None, with_image_id=stored).json()
    assert (body["kind"], body["edits"], body["score"]) == ("identical", [], pytest.approx(1.0))


def test_different_pictures_are_no_copies(
    anyone: Client, giraffe: bytes, demo_files: list[Path]
) -> None:
    other = next(path for path in demo_files if "red_panda" in path.name).read_bytes()
    body = compare(anyone, giraffe, other).json()
    assert body["kind"] in ("similar", "weak")
    assert body["edits"] == []
    assert body["score"] < 0.8


def test_a_query_and_a_box_of_it_can_be_compared(
    anyone: Client, giraffe: bytes, stored: int
) -> None:
    token = anyone.search(giraffe, dataset="demo", top_k=1).json()["query"]["id"]
    body = anyone.post(
        "/compare/",
        json={"query": token, "box": [0.1, 0.1, 0.6, 0.6], "with_image_id": stored},
    ).json()
    assert body["kind"] == "near-duplicate"
    assert body["geometry"]["outline"][0] == pytest.approx([0.1, 0.1], abs=0.03)
    assert body["first"]["box"] == [0.1, 0.1, 0.6, 0.6]


def test_what_one_may_not_see_one_may_not_compare(
    admin: Client, anyone: Client, outsider: Client, dataset: str, picture: Picture, giraffe: bytes
) -> None:
    job = admin.upload(dataset, ("a.jpg", picture(1)))
    admin.finished(job["job"])
    private = job["items"][0]["id"]
    body = compare(admin, giraffe, None, with_image_id=private).json()
    key = admin.session.headers["Authorization"]
    heat = body["heatmaps"]["first"]
    assert heatmap(heat, headers={"Authorization": key}).status_code == 200
    assert requests.get(heat, timeout=60).status_code == 404
    for client in (anyone, outsider):
        refused = compare(client, giraffe, None, with_image_id=private)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    page = requests.get(body["page_url"], timeout=60)
    assert page.status_code == 404
    why = body["page_url"].replace("/compare/?", "/compare/why.json?")
    assert requests.get(why, timeout=60).status_code == 404


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, "invalid"),
        ({"image_id": 1}, 400, "invalid"),
        ({"image_id": 1, "url": "https://example.org/", "with_image_id": 2}, 400, "invalid"),
        ({"image_id": 1, "with_image_id": 2, "size": 3}, 400, "invalid"),
        ({"image_id": 1, "with_image_id": 2, "box": [0, 0, 2, 2]}, 400, "invalid_box"),
        ({"image_id": 1, "with_image_id": 1}, 400, "same_picture"),
        ({"image_id": 1, "with_image_id": 2**62}, 404, "not_found"),
        ({"image_id": 1, "with_query": "no-such-token"}, 410, "query_gone"),
    ],
)
def test_refusals(anyone: Client, fields: dict[str, Any], status: int, code: str) -> None:
    answer = anyone.post("/compare/", json=fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_what_is_no_picture_is_refused(anyone: Client, giraffe: bytes) -> None:
    answer = compare(anyone, giraffe, b"%PDF-1.7 not a picture")
    assert (answer.status_code, answer.json()["code"]) == (422, "not_a_picture")
    assert compare(anyone, b"", giraffe).json()["code"] == "empty_file"
