"""The launcher: what it survives, what it refuses, how it stops."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.installation import ROOT
from searchapp.infra.vectors.lite.server import Refused, serve
from searchapp.infra.vectors.store import VectorStore
from tests.infra.vectors.conftest import Launcher, random_vectors
from tests.infra.vectors.writer import DIMENSION, vector_of

NAME = "lookalike_1_0123456789ab"


@pytest.mark.slow
def test_four_writers_and_a_kill_lose_nothing_acknowledged(
    server: Launcher, store: VectorStore
) -> None:
    rows = 5000
    writers = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.infra.vectors.writer",
                server.uri,
                NAME,
                str(first),
                str(rows),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in range(0, 4 * rows, rows)
    ]
    acknowledged = 0
    for writer in writers:
        assert writer.stdout is not None
        for _ in range(20):
            acknowledged += bool(writer.stdout.readline())
    assert acknowledged == 80
    server.kill()
    server.start()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0

    everything = range(4 * rows)
    assert sorted(store.ids(NAME)) == list(everything)
    assert store.count(NAME) == len(everything)
    stored = store.fetch(NAME, everything)
    for image_id in everything:
        np.testing.assert_array_equal(stored[image_id], vector_of(image_id))
    for image_id in everything[::97]:
        hits = store.search(NAME, vector_of(image_id), 5)
        assert hits[0].image_id == image_id
        assert len({hit.image_id for hit in hits}) == 5


@pytest.mark.slow
def test_sigterm_stops_cleanly_and_all_is_there_again(server: Launcher, store: VectorStore) -> None:
    store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(300, DIMENSION)
    store.upsert(NAME, range(300), vectors)
    code, errors = server.stop()
    assert code == 0
    assert "Traceback" not in errors
    assert not server.socket.exists()
    assert not list(server.data.glob("collections/*/wal/*")), "unsealed rows were left behind"

    server.start()
    assert store.count(NAME) == 300
    assert store.search(NAME, vectors[123], 1)[0].image_id == 123


@pytest.mark.slow
def test_a_killed_servers_socket_is_replaced(server: Launcher, store: VectorStore) -> None:
    server.kill()
    assert server.socket.exists()
    server.start()
    store.ping()


@pytest.mark.slow
def test_rows_sealed_just_before_a_kill_are_not_doubled(
    server: Launcher, store: VectorStore
) -> None:
    """A kill between the commit of sealed rows and the removal of their log leaves both."""
    from pymilvus import MilvusClient

    store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(50, DIMENSION)
    store.upsert(NAME, range(40), vectors[:40])
    log = server.data / "collections" / NAME / "wal"
    log_copy = server.data.parent / "log"
    shutil.copytree(log, log_copy)
    assert list(log_copy.iterdir())
    server.stop()
    server.start()
    store.upsert(NAME, range(40, 50), vectors[40:])
    server.kill()
    shutil.copytree(log_copy, log, dirs_exist_ok=True)

    server.start()
    assert store.count(NAME) == 50
    assert sorted(hit.image_id for hit in store.search(NAME, vectors[3], 100)) == list(range(50))
    # Milvus Lite's own reading, which our store does not use, counts what is on disk.
    client = MilvusClient(server.uri, dedicated=True)
    rows = client.query(NAME, filter="image_id >= 0", output_fields=["image_id"])
    client.close()
    assert sorted(row["image_id"] for row in rows) == list(range(50))


@pytest.mark.slow
def test_an_index_file_cut_short_by_a_kill_is_built_again(
    server: Launcher, store: VectorStore
) -> None:
    from pymilvus import MilvusClient

    store.ensure_collection(NAME, DIMENSION)
    vectors = random_vectors(50, DIMENSION)
    store.upsert(NAME, range(50), vectors)
    client = MilvusClient(server.uri, dedicated=True)
    params = client.prepare_index_params()
    params.add_index("embedding", index_type="HNSW", metric_type="COSINE")
    client.create_index(NAME, params)
    client.close()
    server.stop()
    (index,) = server.data.glob("collections/*/partitions/*/indexes/*")
    index.write_bytes(index.read_bytes()[:100])

    server.start()
    assert store.search(NAME, vectors[8], 1)[0].image_id == 8


@pytest.mark.slow
def test_a_second_server_on_the_same_data_is_refused(shared_server: Launcher) -> None:
    other = f"unix:{shared_server.data.parent}/other.sock"
    assert "Another server is using the data" in shared_server.refused(uri=other)


def test_a_second_server_on_the_same_socket_is_refused(
    shared_server: Launcher, shared_store: VectorStore
) -> None:
    sentence = shared_server.refused(data=shared_server.data.parent / "other")
    assert sentence == (
        f"Another server is using {shared_server.socket}. Stop it first, or choose another path."
    )
    shared_store.ping()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("http://0.0.0.0:19530", "can be reached from other machines"),
        ("http://192.0.2.1:19530", "can be reached from other machines"),
        ("http://vectors.example:19530", "can be reached from other machines"),
        ("http://127.0.0.1", "is not an address to serve"),
        ("http://127.0.0.1:99999", "is not an address"),
        ("unix:relative.sock", "no absolute path"),
        ("unix:/" + "x" * 120, "longer than 107 bytes"),
        ("milvus.db", "is not an address to serve"),
    ],
)
def test_an_address_that_cannot_be_served_is_refused(
    tmp_path: Path, uri: str, sentence: str
) -> None:
    with pytest.raises(Refused, match=re.escape(sentence)):
        serve(tmp_path / "data", uri)
    assert not (tmp_path / "data").exists()


def test_a_refusal_is_one_sentence_of_the_process(launcher: Launcher) -> None:
    assert "is not an address to serve" in launcher.refused(uri="milvus.db")
    assert not launcher.data.exists()


@pytest.mark.slow
def test_a_file_in_the_sockets_place_is_kept(launcher: Launcher) -> None:
    launcher.socket.write_text("precious")
    assert "is not a socket" in launcher.refused()
    assert launcher.socket.read_text() == "precious"


@pytest.mark.slow
def test_a_loopback_port_serves_and_is_not_shared(launcher: Launcher) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher.uri = f"http://127.0.0.1:{port}"
    launcher.start()
    store = VectorStore(launcher.uri)
    store.ensure_collection(NAME, DIMENSION)
    store.upsert(NAME, [1], random_vectors(1, DIMENSION))
    assert list(store.ids(NAME)) == [1]
    assert "is taken" in launcher.refused(data=Path(f"{launcher.data}-other"))
    assert launcher.stop()[0] == 0
    store.close()
