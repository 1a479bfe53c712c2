"""`POST /api/v1/search/`."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from harness.installation import ROOT, Client

Picture = Callable[[int], bytes]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def _gif_that_claims(side: int) -> bytes:
    """A GIF of one pixel whose header claims a screen of `side` × `side`."""
    output = io.BytesIO()
    Image.new("P", (1, 1)).save(output, "GIF")
    gif = bytearray(output.getvalue())
    gif[6:10] = side.to_bytes(2, "little") * 2
    return bytes(gif)


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A web server on loopback that serves the demo's folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(ROOT / "demo")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_edited_copy_finds_its_original(anyone: Client, giraffe: bytes) -> None:
    picture = Image.open(io.BytesIO(giraffe))
    width, height = picture.size
    copy = io.BytesIO()
    cropped = picture.crop((width // 10, height // 10, width, height)).resize((320, 180))
    cropped.save(copy, "WEBP", quality=60)
    answer = anyone.search(copy.getvalue(), dataset="demo", top_k="5")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {
        "query", "pipeline", "took_ms", "verified", "cutoff", "results", "next"
    }  # fmt: skip
    assert set(body["took_ms"]) == {"decode", "embed", "search", "verify", "total"}
    assert body["pipeline"]["name"] == "image-embedding-efficientnet-lite0"
    assert (body["query"]["width"], body["query"]["height"]) == (320, 180)
    assert [match["rank"] for match in body["results"]] == [1, 2, 3, 4, 5]
    scores = [match["score"] for match in body["results"]]
    assert scores == sorted(scores, reverse=True)
    best = body["results"][0]["image"]
    assert set(best) == {"id", "title", "url", "thumbnail_url", "width", "height", "metadata"}
    assert best["metadata"]["file"] == "erase-giraffe.jpg"
    assert anyone.session.get(best["url"], timeout=30).content == giraffe


def test_every_demo_picture_finds_itself_first(anyone: Client, demo_files: list[Path]) -> None:
    for path in demo_files[::23]:
        best = anyone.search(path.read_bytes(), dataset="demo", top_k="1").json()["results"][0]
        assert best["image"]["metadata"]["file"] == path.name
        assert best["score"] > 0.9999


def test_asking_again_costs_no_model_time(anyone: Client, picture: Picture) -> None:
    first = anyone.search(picture(200), dataset="demo").json()
    again = anyone.search(picture(200), dataset="demo").json()
    assert first["took_ms"]["embed"] > 0
    assert (again["took_ms"]["decode"], again["took_ms"]["embed"]) == (0, 0)
    # (The second look may get further when it is asked again.)
    assert [(match["image"], match["score"]) for match in again["results"]] == [
        (match["image"], match["score"]) for match in first["results"]
    ]


@pytest.mark.parametrize("top_k", [1, 20, 200])
def test_top_k_is_kept(anyone: Client, giraffe: bytes, top_k: int) -> None:
    results = anyone.search(giraffe, dataset="demo", top_k=str(top_k)).json()["results"]
    assert len(results) == top_k
    assert len({match["image"]["id"] for match in results}) == top_k


def test_twenty_by_default(anyone: Client, giraffe: bytes) -> None:
    assert len(anyone.search(giraffe, dataset="demo").json()["results"]) == 20


def test_min_score_leaves_out_what_is_below(anyone: Client, giraffe: bytes) -> None:
    every = anyone.search(giraffe, dataset="demo", top_k="50").json()["results"]
    limit = every[3]["score"] + 1e-9
    some = anyone.search(giraffe, dataset="demo", top_k="50", min_score=str(limit)).json()
    assert [match["image"]["id"] for match in some["results"]] == [
        match["image"]["id"] for match in every if match["score"] >= limit
    ]


def test_by_stored_image(anyone: Client, giraffe: bytes) -> None:
    first = anyone.search(giraffe, dataset="demo", top_k="1").json()["results"][0]["image"]["id"]
    answer = anyone.post("/search/", json={"image_id": first, "dataset": "demo", "top_k": 3})
    body = answer.json()
    assert body["query"]["image_id"] == first
    assert body["results"][0]["image"]["id"] == first
    assert body["results"][0]["score"] == pytest.approx(1, abs=1e-4)
    assert len(body["results"]) == 3


def test_by_address(anyone: Client, web: str) -> None:
    query = {"url": f"{web}/erase-giraffe.jpg", "dataset": "demo", "top_k": 1}
    body = anyone.post("/search/", json=query).json()
    assert body["results"][0]["image"]["metadata"]["file"] == "erase-giraffe.jpg"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("{web}/missing.jpg", "fetch_status"),
        ("{web}/demo.csv", "not_a_picture"),
        ("ftp://example.org/a.jpg", "scheme_not_allowed"),
        ("file:///etc/passwd", "scheme_not_allowed"),
        ("http://localhost/a.jpg", "address_not_allowed"),
        ("http://169.254.169.254/latest/meta-data", "address_not_allowed"),
        ("http://[::1]/a.jpg", "address_not_allowed"),
        ("not an address", "address_invalid"),
    ],
)
def test_addresses_that_are_refused(anyone: Client, web: str, url: str, code: str) -> None:
    refused = anyone.post("/search/", json={"url": url.format(web=web), "dataset": "demo"})
    assert 400 <= refused.status_code < 500
    assert refused.json()["code"] == code
    assert refused.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"%PDF-1.7", "not_a_picture"),
        (_gif_that_claims(50_000), "too_many_pixels"),
    ],
)
def test_query_pictures_that_are_refused(anyone: Client, content: bytes, code: str) -> None:
    refused = anyone.search(content, dataset="demo")
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert refused.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"image_id": 1, "url": "http://example.org/"}, "invalid"),
        ({"image_id": "x"}, "invalid"),
        ({"image_id": 1, "top_k": 0}, "invalid"),
        ({"image_id": 1, "top_k": 201}, "invalid"),
        ({"image_id": 1, "min_score": 2}, "invalid"),
        ({"image_id": 1, "min_score": "nan"}, "invalid"),
        ({"image_id": 1, "topk": 5}, "invalid"),
        ({"image_id": 1, "\ud800": 5}, "invalid"),
        ({"image": "text"}, "invalid"),
        ({"image_id": 99_999_999}, "not_found"),
        ({"image_id": 1, "dataset": "no-such"}, "not_found"),
        ({"image_id": 2**70}, "invalid"),
        ([], "invalid"),
    ],
)
def test_wrong_questions_are_refused(anyone: Client, body: object, code: str) -> None:
    refused = anyone.post("/search/", json=body)
    assert refused.status_code in (400, 404)
    assert refused.json()["code"] == code


def test_json_that_is_none(anyone: Client) -> None:
    headers = {"Content-Type": "application/json"}
    refused = anyone.post("/search/", data=b"{", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "parse_error")


def test_an_empty_dataset_has_no_matches(admin: Client, dataset: str, giraffe: bytes) -> None:
    answer = admin.search(giraffe, dataset=dataset)
    assert (answer.status_code, answer.json()["results"]) == (200, [])


def test_without_a_dataset_all_that_one_may_see_is_searched(
    admin: Client, dataset: str, picture: Picture
) -> None:
    job = admin.upload(dataset, ("mine.jpg", picture(300)))["job"]
    image = admin.finished(job)["items"][0]["id"]
    results = admin.search(picture(300), top_k="30").json()["results"]
    assert image in {match["image"]["id"] for match in results if match["kind"] == "identical"}
    assert len(results) == 30


def test_many_at_once(installation: object, anyone: Client, picture: Picture) -> None:
    answers: dict[int, list[int]] = {}
    refused: list[str] = []

    def ask(number: int) -> None:
        client = Client(anyone.base.removesuffix("/api/v1"))
        # A machine that does much else may refuse some for the moment: they ask again, as told.
        for _ in range(5):
            answer = client.search(picture(number), dataset="demo", top_k="5")
            if answer.status_code != 503:
                break
            time.sleep(int(answer.headers.get("Retry-After", "1")))
        if answer.status_code != 200:
            refused.append(answer.text)
            return
        answers[number] = [match["image"]["id"] for match in answer.json()["results"]]

    threads = [threading.Thread(target=ask, args=(400 + n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not refused
    assert len(answers) == 20
    for number in (400, 410, 419):
        alone = anyone.search(picture(number), dataset="demo", top_k="5").json()["results"]
        assert answers[number] == [match["image"]["id"] for match in alone]


def test_a_box_is_searched_as_its_pixels_are(anyone: Client, giraffe: bytes) -> None:
    """A part in a large picture finds what that part alone finds, for each way of asking."""
    with Image.open(io.BytesIO(giraffe)) as whole:
        width, height = whole.size
        canvas = Image.new("RGB", (4 * width, 4 * height), "white")
        canvas.paste(whole, (3 * width, 3 * height))
    file = io.BytesIO()
    canvas.save(file, "PNG")
    box = "0.75,0.75,0.25,0.25"
    body = anyone.search(file.getvalue(), box=box, top_k=1).json()
    assert body["results"][0]["image"]["title"] == "Giraffe"
    assert body["results"][0]["score"] > 0.98
    assert body["query"]["box"] == [0.75, 0.75, 0.25, 0.25]
    assert (body["query"]["width"], body["query"]["height"]) == (4 * width, 4 * height)
    again = anyone.post(
        "/search/", json={"query": body["query"]["id"], "box": body["query"]["box"], "top_k": 1}
    ).json()
    assert again["took_ms"]["embed"] == 0
    assert again["results"] == body["results"]
    other = anyone.post("/search/", json={"query": body["query"]["id"], "top_k": 1}).json()
    assert "box" not in other["query"]
    assert other["results"][0]["score"] < body["results"][0]["score"]


def test_a_box_of_a_stored_image(anyone: Client, giraffe: bytes) -> None:
    image = anyone.search(giraffe, top_k=1).json()["results"][0]["image"]["id"]
    regions = anyone.get(f"/regions/?image_id={image}").json()["regions"]
    assert 1 <= len(regions) <= 4
    body = {"image_id": image, "box": regions[0], "top_k": 1}
    answer = anyone.post("/search/", json=body).json()
    assert answer["results"][0]["image"]["id"] == image
    assert answer["results"][0]["score"] < 0.9999


@pytest.mark.parametrize("box", ["0,0,2,2", [0.5, 0.5, 0.6, 0.1], [0, 0, 1], "x", {"x": 1}, 5])
def test_boxes_that_are_refused(anyone: Client, box: object) -> None:
    answer = anyone.post("/search/", json={"image_id": 1, "box": box})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_box"
    assert "four numbers" in answer.json()["detail"]


def test_regions_are_of_one_picture_that_one_may_see(
    admin: Client, anyone: Client, dataset: str, giraffe: bytes
) -> None:
    upload = admin.upload(dataset, ("giraffe.jpg", giraffe))
    admin.finished(upload["job"])
    image = upload["items"][0]["id"]
    assert admin.get(f"/regions/?image_id={image}").status_code == 200
    assert anyone.get(f"/regions/?image_id={image}").status_code == 404
    assert anyone.get("/regions/").status_code == 400
    assert anyone.get("/regions/?query=never-was").status_code == 410
