"""Make the data folder that `test_data_folder_of_older_version` starts. README.md says how."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from embeddings import __version__
from harness.installation import ROOT, Client, Installation, running, wait_until

HERE = Path(__file__).parent
SLUG = "small-pictures"
# Float32 on every processor, and time for every comparison: scores and kinds can be compared.
ENVIRONMENT = {
    "LOOKALIKE_DEMO": "0",
    "LOOKALIKE_RUNTIME": "torch",
    "LOOKALIKE_VERIFY_MS": "5000",
}
# What a start makes again, or what belongs to one machine.
_LEFT_OUT = {"cache", "log", "run", "static", "secret_key", "serve.lock", "serve.out"}
_DEMO_STEP = 8  # every eighth picture of the demo; with one more, the 30 that are calibrated
_MAX_SIDE = 120  # pixels
_ADD_OWNER = """
from django.contrib.auth.models import User
User.objects.create_user("ada")
"""
_SETTLE = """
from searchapp.services.filters import scalar_sync
from searchapp.services.ingest import feature_claims
from worker.tasks.calibration import calibrate
calibrate()
print(feature_claims.left(), "waits" if scalar_sync.waits() else "no")
"""
# What ends after a day is kept for good: the stored query, and in Redis what is remembered of it.
_KEEP = """
import time
from django.utils import timezone
from searchapp.infra import queue
from searchapp.models import Query
Query.objects.update(expires=timezone.now().replace(year=2999))
redis = queue.client()
for kind in ("vector", "verdicts"):
    for key in redis.scan_iter(f"lookalike:{kind}:*"):
        redis.persist(key)
redis.bgrewriteaof()
while redis.info("persistence")["aof_rewrite_in_progress"]:
    time.sleep(0.1)
"""


def jpeg(picture: Image.Image) -> bytes:
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return file.getvalue()


def small_pictures() -> dict[str, bytes]:
    """Return small pictures of the demo, and a mirrored one, as files by their names."""
    paths = sorted((ROOT / "demo").glob("*.jpg"))[::_DEMO_STEP]
    files = {path.name: jpeg(Image.open(path)) for path in paths}
    giraffe = Image.open(ROOT / "demo" / "erase-giraffe.jpg")
    return files | {"mirrored.jpg": jpeg(ImageOps.mirror(giraffe))}


def query_picture() -> bytes:
    """Return a picture that is not among them: a part of one of them."""
    return jpeg(ImageOps.crop(Image.open(ROOT / "demo" / "erase-giraffe.jpg"), 30))


def fill(owner: Client) -> str:
    """Make the dataset; return the token of a stored query."""
    assert owner.dataset("Small pictures", "public") == SLUG
    files = small_pictures()
    sent = owner.upload(
        SLUG, *files.items(), ("notes.txt", b"no picture"), metadata='{"year": 2026}'
    )
    assert owner.finished(sent["job"])["ready"] == len(files)
    for item in sent["items"][:-1]:
        kind, _, subject = item["name"].removesuffix(".jpg").rpartition("-")
        if kind:
            changes = {"title": subject.capitalize(), "label": kind, "tags": [subject[0], kind]}
            assert owner.patch(f"/images/{item['id']}/", json=changes).status_code == 200
    return str(owner.search(query_picture(), dataset=SLUG).json()["query"]["id"])


def images(client: Client) -> list[dict[str, Any]]:
    """Return what the API lists of the dataset's images, the newest first, without addresses."""
    page = client.get(f"/datasets/{SLUG}/images/", params={"page_size": "200"}).json()
    assert page["next"] is None
    return [
        {name: value for name, value in image.items() if not name.endswith("url")}
        for image in page["results"]
    ]


def search(client: Client, **fields: Any) -> dict[str, Any]:
    """Search the dataset, with `query.jpg` unless `fields` name a picture; return the results."""
    if {"image_id", "query"} & fields.keys():
        answer = client.post("/search/", json={"dataset": SLUG} | fields)
    else:
        answer = client.search((HERE / "query.jpg").read_bytes(), dataset=SLUG, **fields)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["verified"]
    return {
        "fingerprint": body["pipeline"]["fingerprint"],
        "cutoff": body["cutoff"],
        "vector_remembered": body["took_ms"]["embed"] == 0,
        "results": [
            {"id": match["image"]["id"]} | {key: match[key] for key in ("kind", "edits", "score")}
            for match in body["results"]
        ],
    }


def shell(installation: Installation, code: str) -> str:
    return installation.manage("shell", "-v", "0", "-c", code).stdout.strip()


def normalized(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def main() -> None:
    (HERE / "query.jpg").write_bytes(query_picture())
    with running(**ENVIRONMENT) as installation:
        shell(installation, _ADD_OWNER)
        key = installation.key(user="ada")
        owner = Client(installation.url, key)
        query = fill(owner)
        # Local features, what can be filtered by, and what scores mean follow an upload.
        wait_until(lambda: shell(installation, _SETTLE) == "0 no", "a worker has not finished")
        listed = images(owner)
        remembered: list[dict[str, Any]] = [
            {"query": query, "top_k": 12},
            {"image_id": listed[-1]["id"], "top_k": 5},
            {"query": query, "filter": {"field": "label", "equals": "categorization"}},
        ]
        searches = [{"fields": one, "answer": search(owner, **one)} for one in remembered]
        shell(installation, _KEEP)
        part = {"top_k": 12, "box": "0.2,0.05,0.6,0.9"}
        searches.append({"fields": part, "answer": search(owner, **part)})
        expected = {"key": key, "query": query, "images": listed, "searches": searches}
        assert installation.stop() == 0
        with contextlib.closing(sqlite3.connect(installation.data / "db.sqlite3")) as database:
            database.execute("PRAGMA journal_mode = DELETE")  # one file
            database.execute("PRAGMA journal_mode = WAL")
        with tarfile.open(HERE / f"data_folder_{__version__}.tar.xz", "w:xz") as archive:
            for path in sorted(installation.data.iterdir()):
                if path.name not in _LEFT_OUT:
                    archive.add(path, path.name, filter=normalized)
    text = json.dumps(expected, indent=1)
    (HERE / f"data_folder_{__version__}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
