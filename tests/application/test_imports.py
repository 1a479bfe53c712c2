"""Imports in a whole running application: from a request to a picture that search finds."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from harness.installation import Client, Installation, wait_until
from tests.pictures import plain_picture


def _finished(client: Client, job: str) -> dict[str, Any]:
    def check() -> dict[str, Any] | None:
        body: dict[str, Any] = client.job(job)
        return body if body["state"].startswith("finished") else None

    return wait_until(check, "the import does not end")


def test_an_archive_is_imported_searched_and_its_worker_killed_on_the_way(
    installation: Installation, admin: Client, demo_files: list[Path]
) -> None:
    slug = admin.dataset("Imported archive")
    archive = io.BytesIO()
    good = demo_files[:60]
    with zipfile.ZipFile(archive, "w") as written:
        for number, path in enumerate(good):
            written.write(path, f"label-{number % 2}/{path.name}")
        for number in range(20):
            written.writestr(f"bad-{number}.jpg", b"words")
        written.writestr("../escape.png", plain_picture(1))
    answer = admin.post(
        f"/datasets/{slug}/imports/",
        files=[("file", ("pictures.zip", archive.getvalue()))],
        data={"options": json.dumps({"label_from_folder": True, "tags": ["zip"]})},
    )
    assert answer.status_code == 201, answer.text
    job = answer.json()["id"]
    wait_until(lambda: admin.job(job)["ready"] > 0, "nothing is ready")
    installation.kill("ingest")
    body = _finished(admin, job)
    assert (body["ready"], body["rejected"], body["failed"]) == (60, 21, 0)
    counts = admin.get(f"/datasets/{slug}/").json()["counts"]
    assert (counts["ready"], counts["total"]) == (60, 60)
    matches = admin.search(good[7].read_bytes(), dataset=slug, top_k=1).json()["results"]
    assert matches[0]["score"] > 0.999
    table = admin.get(f"/jobs/{job}/ledger.csv").text
    assert len(table.splitlines()) == 82
    assert "path_escapes" in table


def test_the_command_follows_an_import_to_its_end(
    installation: Installation, admin: Client, demo_files: list[Path], tmp_path: Path
) -> None:
    slug = admin.dataset("Imported by command")
    path = tmp_path / "one.jpg"
    path.write_bytes(demo_files[0].read_bytes())
    done = installation.manage("import_pictures", slug, str(path), "--label", "one")
    assert "1 ready" in done.stderr
    path.write_bytes(b"words")
    failed = installation.manage("import_pictures", slug, str(path), check=False)
    assert failed.returncode == 1
    assert "finished, with errors" in installation.manage("jobs").stdout
