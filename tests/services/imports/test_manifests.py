"""Manifests, boxes and buckets: what rows and files are named, where they may be, and as what."""

from __future__ import annotations

import http.server
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow
import pyarrow.parquet as parquet
import pytest
from django.contrib.auth.models import User

from searchapp.infra.originals import open_original
from searchapp.models import Dataset, Image, SourceKind
from searchapp.services.errors import Gone, Invalid
from searchapp.services.imports import creation, enumeration
from tests.pictures import plain_picture
from tests.services.imports.conftest import rows, run
from tests.services.imports.test_archives import start

pytestmark = pytest.mark.django_db
CSV = (
    b"\xef\xbb\xbfpath,Title,label,tags,year\r\n"
    b'a.png,"The\nsun",star,"x,y",1969\r\n'
    b"missing.png,,,,\r\n"
    b",nothing,,,\r\n"
    b"/etc/hostname,,,,\r\n"
    b"s3://elsewhere/a.png,,,,\r\n"
    b"a.png,,,,,too,many\r\n"
)


@pytest.fixture
def web(settings: Any) -> Iterator[str]:
    """The address of a server on loopback that has one picture, `/a.png`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/a.png" else 404)
            body = plain_picture(7) if self.path == "/a.png" else b"no"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.FETCH_ALLOWED_HOSTS = [f"127.0.0.1:{server.server_port}"]
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_columns_become_what_is_known_of_a_picture(
    dataset: Dataset, owner: User, root: Path
) -> None:
    (root / "a.png").write_bytes(plain_picture(1))
    (root / "list.csv").write_bytes(CSV)
    job = start(dataset, owner, root / "list.csv", SourceKind.MANIFEST, metadata={"from": "csv"})
    run(job)
    assert rows(job) == [
        ("a.png", "ready", ""),
        ("missing.png", "failed", "path_missing"),
        ("row 3", "rejected", "invalid_row"),
        ("/etc/hostname", "failed", "path_not_allowed"),
        ("s3://elsewhere/a.png", "rejected", "bucket_not_allowed"),
        ("row 6", "rejected", "invalid_row"),
    ]
    image = Image.objects.get()
    assert (image.title, image.label, image.tags) == ("The\nsun", "star", ["x", "y"])
    assert image.metadata == {"from": "csv", "year": "1969"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_listing_goes_on_where_it_was_left(
    dataset: Dataset, owner: User, root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enumeration, "_ROWS", 3)
    monkeypatch.setattr(enumeration, "_MAX_ROWS", 3)
    names = [f"{n}.png" for n in range(10)]
    for number, name in enumerate(names):
        (root / name).write_bytes(plain_picture(number))
    path = root / f"list.{kind}"
    if kind == "csv":
        path.write_text("file;title\n" + "".join(f'{name};"a\nb"\n' for name in names))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"path": name, "n": [1]}) + "\n\n" for name in names))
    else:
        table = pyarrow.table({"path": names, "n": range(10), "bytes": [b"x"] * 10})
        parquet.write_table(table, path, row_group_size=4)
    job = start(dataset, owner, path, SourceKind.MANIFEST)
    run(job)
    assert rows(job) == [(name, "ready", "") for name in names]
    assert Image.objects.exclude(title="a\nb").count() == (0 if kind == "csv" else 10)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1 is not enough",
        b"x" * 1_500_000,
        b"name,year\na.png,1969\n",  # nothing says which column names a file
        b'[{"path": "a.png"}]',
        "path,title\na.png,x\n".encode("utf-16"),
        b"path,year,year\na.png,1,2\n",  # one of the two would be lost
    ],
)
def test_what_is_no_table_is_said(
    dataset: Dataset, owner: User, root: Path, content: bytes
) -> None:
    (root / "list.csv").write_bytes(content)
    job = start(dataset, owner, root / "list.csv", SourceKind.MANIFEST)
    run(job)
    assert (job.state, job.error_code) == ("finished_with_errors", "table_broken")


def test_a_row_that_is_not_text_or_has_no_end_costs_itself(
    dataset: Dataset, owner: User, root: Path
) -> None:
    (root / "a.png").write_bytes(plain_picture(1))
    (root / "list.csv").write_bytes(
        b'path,title\na.png,caf\xe9\na.png,5" wide\na.png,"never closed\na.png,lost\n'
    )
    (root / "list.jsonl").write_bytes(
        b'{"path": "a.png", "title": "caf\xe9"}\n{"path": "\\ud800.png"}\n{"path": "a.png"}\n'
    )
    for name, expected in (
        ("list.csv", [("row 1", "rejected"), ("a.png", "ready"), ("row 3", "rejected")]),
        ("list.jsonl", [("row 1", "rejected"), ("?.png", "rejected"), ("a.png", "ready")]),
    ):
        job = start(dataset, owner, root / name, SourceKind.MANIFEST)
        run(job)
        assert [(name, state) for name, state, _ in rows(job)] == expected


def test_addresses_are_fetched_by_the_rules(
    dataset: Dataset, owner: User, root: Path, web: str
) -> None:
    addresses = [f"{web}/a.png", f"{web}/b.png", "http://127.0.0.1:1/c.png", "ftp://x/y.png"]
    (root / "list.csv").write_text("\n".join(["url", *addresses]))
    job = start(dataset, owner, root / "list.csv", SourceKind.MANIFEST, keep="reference")
    run(job)
    assert [code for _, _, code in rows(job)] == [
        "", "fetch_status", "port_not_allowed", "bucket_not_allowed"
    ]  # fmt: skip
    image = Image.objects.get()
    assert image.reference == addresses[0]
    with open_original(image) as file:
        assert file.read() == plain_picture(7)


def test_a_manifest_that_was_sent_names_files_in_the_roots(
    dataset: Dataset, owner: User, root: Path, upload: Callable[..., Any]
) -> None:
    (root / "a.png").write_bytes(plain_picture(1))
    job = creation.create(dataset, user=owner, kind=SourceKind.UPLOAD, is_open=True)
    creation.add_upload(job, upload(b'{"path": "a.png"}\n{"path": "../x.png"}\n'), name="m.jsonl")
    creation.close(job)
    run(job)
    assert rows(job) == [("a.png", "ready", ""), ("../x.png", "failed", "path_not_allowed")]


COCO = {
    "images": [
        {"id": 1, "file_name": "a.png", "width": 8, "height": 8},
        {"id": 2, "file_name": "gone.png"},
    ],
    "annotations": [
        {"image_id": 1, "bbox": [0.5, 0, 3.2, 4], "category_id": 5},
        {"image_id": 1, "bbox": [4, 4, 4, 4], "category_id": 6},
        {"image_id": 1, "bbox": [9, 9, 4, 4], "category_id": 6},
        {"image_id": 2, "bbox": [0, 0, 4, 4]},
        {"image_id": 3, "bbox": [0, 0, 4, 4]},
        {"image_id": 1, "bbox": [4, 4, 4, 4], "category_id": 6},
    ],
    "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}],
}
COCO_CODES = ["", "", "box_outside", "path_missing", "invalid_row", ""]


@pytest.mark.parametrize("place", ["beside", "images", "archive"])
def test_each_box_is_an_image_of_its_own(
    dataset: Dataset, owner: User, root: Path, place: str
) -> None:
    path = root / "coco" / "boxes.json"
    (path.parent / "images").mkdir(parents=True)
    path.write_text(json.dumps(COCO))
    if place == "archive":
        with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
            archive.writestr("train/a.png", plain_picture(1))
    else:
        folder = path.parent / ("images" if place == "images" else "")
        (folder / "a.png").write_bytes(plain_picture(1))
    job = start(dataset, owner, path, SourceKind.COCO)
    run(job)
    assert [code for _, _, code in rows(job)] == COCO_CODES
    images = Image.objects.order_by("pk").values_list("box", "label", "name")
    assert [(box, label) for box, label, _ in images] == [
        ([0, 0, 4, 4], "cat"),
        ([4, 4, 4, 4], "dog"),
    ]
    assert job.items.filter(duplicate=True).count() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"images":' + b"[" * 200_000, "nested"),  # it would cost the parser all memory
        (b'{"images": [], "info": "\\"' + b"[" * 1_200_000, "very long"),
        (b"[1, 2]", "annotations"),
        (b'{"images": [], "annotations": {}}', "annotations"),
        (b"\xff\xd8 no JSON", "lexical error: invalid"),
    ],
)
def test_what_is_no_coco_file_is_said(
    dataset: Dataset, owner: User, root: Path, content: bytes, message: str
) -> None:
    (root / "boxes.json").write_bytes(content)
    job = start(dataset, owner, root / "boxes.json", SourceKind.COCO)
    run(job)
    assert (job.state, job.error_code) == ("finished_with_errors", "table_broken")
    assert message in job.error_detail
    assert "b'" not in job.error_detail


def test_an_annotation_that_makes_no_sense_costs_itself(
    dataset: Dataset, owner: User, root: Path
) -> None:
    (root / "a.png").write_bytes(plain_picture(1))
    one = COCO["annotations"][0]
    odd = {
        "info": 'brackets in a text: [[[ \\" ]',
        "images": [*COCO["images"], {"id": [1]}, 5],
        "annotations": [one, {**one, "image_id": [1]}, {**one, "category_id": {}}, 5],
        "categories": [*COCO["categories"], {"id": [5], "name": "x"}],
    }
    (root / "boxes.json").write_text(json.dumps(odd))
    job = start(dataset, owner, root / "boxes.json", SourceKind.COCO)
    run(job)
    assert [code for _, _, code in rows(job)] == ["", "invalid_row", "", "invalid_row"]


def test_only_buckets_that_are_named_are_read(dataset: Dataset, owner: User, settings: Any) -> None:
    settings.IMPORT_BUCKETS = ["memory://photos/2026/"]
    store = fsspec.filesystem("memory")
    for name, content in {"cat/a.png": plain_picture(1), "cat/.x": b"x", "b.png": b"words"}.items():
        store.pipe(f"/photos/2026/{name}", content)
    store.pipe("/photos/2025/secret.png", plain_picture(9))
    for address in ("memory://photos/2025/", "memory://photos/2026/../2025/", "s3://photos/2026/",
                    "file:///etc/", "memory://photos/20260/"):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            start(dataset, owner, address, SourceKind.BUCKET)  # type: ignore[arg-type]
        assert refused.value.code == "bucket_not_allowed"
    job = start(
        dataset, owner, "memory://photos/2026/", SourceKind.BUCKET,  # type: ignore[arg-type]
        keep="reference", label_from_folder=True,
    )  # fmt: skip
    run(job)
    assert rows(job) == [
        ("b.png", "rejected", "not_a_picture"),
        ("cat/.x", "rejected", "hidden_file"),
        ("cat/a.png", "ready", ""),
    ]
    image = Image.objects.get()
    assert (image.label, image.reference) == ("cat", "memory://photos/2026/cat/a.png")
    with open_original(image) as file:
        assert file.read() == plain_picture(1)
    store.pipe("/photos/2026/cat/a.png", plain_picture(2))
    with pytest.raises(Gone) as changed:
        open_original(image)
    assert changed.value.code == "original_changed"
    store.rm("/photos/2026/cat/a.png")
    with pytest.raises(Gone) as gone:
        open_original(image)
    assert gone.value.code == "original_missing"
