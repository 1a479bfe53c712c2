"""What one can do beside a running installation, and what it does about a child that dies."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from harness.installation import Client, Installation, wait_until


def test_a_new_key_works_at_once(installation: Installation) -> None:
    created = installation.manage("create_api_key", "shop", "--user", "admin", "--scope", "write")
    key = created.stdout.split()[-1]
    assert created.stdout.endswith(f"{key}\n")
    assert Client(installation.url, key).dataset("made with a new key")
    assert Client(installation.url, key + "x").get("/datasets/").status_code == 401


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--user", "nobody", "--scope", "read"], "There is no user 'nobody'."),
        (["--user", "admin", "--scope", "all"], "invalid choice: 'all'"),
    ],
)
def test_a_key_that_cannot_be_made(
    arguments: list[str], sentence: str, installation: Installation
) -> None:
    done = installation.manage("create_api_key", "shop", *arguments, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", ["query", "beat"])
def test_a_child_that_dies_is_started_again(program: str, installation: Installation) -> None:
    """Redis, Milvus, the web server and the ingest worker die in test_kills."""
    before = installation.process(program)
    installation.kill(program)
    assert installation.process(program) != before
    assert installation.serve.poll() is None


def test_a_query_worker_that_died_answers_again(
    installation: Installation, anyone: Client, demo_files: list[Path]
) -> None:
    installation.kill("query")
    # In grey: no vector of these bytes is remembered, so a worker must make it.
    picture = io.BytesIO()
    Image.open(demo_files[0]).convert("L").save(picture, "JPEG")

    def answered() -> bool:
        return anyone.search(picture.getvalue(), dataset="demo", top_k=1).status_code == 200

    wait_until(answered, "searches do not recover")
