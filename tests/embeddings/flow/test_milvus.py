"""Rows into a real Milvus Lite, in both forms that its client has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import Collection, DataType, MilvusClient, connections

from embeddings.errors import InputError, OutputError
from embeddings.flow.sinks.milvus import insert_into_milvus


class Failed:
    """A row of a safe collection that has failed."""

    input = "a.jpg"
    exception = ValueError("no picture")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("milvus") / "lite.db")


@pytest.fixture(scope="module")
def client(uri: str) -> Iterator[Any]:
    milvus = MilvusClient(uri)
    yield milvus
    milvus.close()


def made(client: Any, name: str, *, auto_id: bool = False, title: bool = False) -> str:
    """An empty collection with an id, a vector of four dimensions and, if asked, a title."""
    if client.has_collection(name):
        client.drop_collection(name)
    schema = MilvusClient.create_schema(auto_id=auto_id)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    if title:
        schema.add_field("title", DataType.VARCHAR, max_length=20)
        schema.add_field("more", DataType.JSON, nullable=True)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=index)
    return name


def stored(client: Any, name: str) -> list[dict[str, Any]]:
    client.load_collection(name)
    rows: list[dict[str, Any]] = client.query(name, filter="id >= 0", output_fields=["*"])
    return sorted((dict(row) for row in rows), key=lambda row: row["vector"][0])


def test_dictionaries_go_in_batches(client: Any) -> None:
    name = made(client, "dictionaries", title=True)
    rows = (
        {
            "id": np.int64(place),
            "vector": np.full(4, place, np.float32),
            "title": Path(f"{place}.jpg"),
            "more": {"tags": ("a",), "score": np.float32(0.5)},
        }
        for place in range(25)
    )
    assert insert_into_milvus(rows, (client, name), batch_size=10) == 25
    back = stored(client, name)
    assert [row["id"] for row in back] == list(range(25))
    assert list(back[7]["vector"]) == [7] * 4
    assert back[7]["title"] == "7.jpg"
    assert back[7]["more"] == {"tags": ["a"], "score": 0.5}


def test_vectors_and_tuples_fill_the_fields_that_are_not_automatic(client: Any) -> None:
    automatic = made(client, "automatic", auto_id=True)
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert insert_into_milvus(vectors, (client, automatic)) == 3
    assert [list(row["vector"]) for row in stored(client, automatic)] == vectors.tolist()

    pairs = made(client, "pairs")
    rows = [(5, vectors[0]), (3, list(vectors[1])), {"id": 1, "vector": vectors[2]}]
    assert insert_into_milvus(rows, (client, pairs)) == 3
    assert [row["id"] for row in stored(client, pairs)] == [5, 3, 1]


def test_nothing_is_inserted_for_no_rows(client: Any) -> None:
    assert insert_into_milvus([], (client, made(client, "empty"))) == 0


def test_an_error_names_the_rows_of_the_batch(client: Any) -> None:
    name = made(client, "errors", auto_id=True)
    rows = [np.zeros(4, np.float32)] * 4 + [np.zeros(3, np.float32)]
    with pytest.raises(
        OutputError, match=r"Rows 5 to 5 .* 'errors' \(the rows before are .*\): .* dim"
    ):
        insert_into_milvus(rows, (client, name), batch_size=2)
    assert len(stored(client, name)) == 4
    with pytest.raises(OutputError, match=r"Rows 1 to 1 .*nothing is inserted.*`size`"):
        insert_into_milvus([{"vector": rows[0], "size": 1}], (client, name))
    with pytest.raises(OutputError, match=r"'none' cannot be described: .* not exist"):
        insert_into_milvus(rows, (client, "none"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (np.zeros(4), r"Row 2 has 1 values, but 'wrong' takes 2 \(id, vector\)"),
        ((1, np.zeros(4), 3), "Row 2 has 3 values"),
        (Failed(), "Row 2 has failed: ValueError: no picture"),
    ],
)
def test_rows_that_are_not_the_collections(client: Any, row: Any, message: str) -> None:
    name = made(client, "wrong")
    with pytest.raises(InputError, match=message):
        insert_into_milvus([(1, np.zeros(4)), row], (client, name))
    assert stored(client, name) == []


def test_what_is_no_collection(client: Any) -> None:
    for wrong in ("name", client, (client, 3), ("name", client), None, (client,)):
        with pytest.raises(InputError, match=r"pair \(MilvusClient, name\)"):
            insert_into_milvus([], wrong)
    for size in (0, True, 1.5):
        with pytest.raises(InputError, match="batch_size"):
            insert_into_milvus([], (client, "name"), batch_size=size)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*ORM-style PyMilvus API")
def test_the_older_form_of_a_collection(client: Any, uri: str) -> None:
    name = made(client, "older", auto_id=True)
    connections.connect("older", uri=uri)
    try:
        collection = Collection(name, using="older")
        vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
        assert insert_into_milvus(vectors, collection, batch_size=2) == 3
        assert insert_into_milvus([{"vector": vectors[0] + 100}], collection) == 1
        with pytest.raises(OutputError, match="Rows 1 to 1"):
            insert_into_milvus([{"vector": vectors[0][:2]}], collection)
    finally:
        connections.disconnect("older")
    assert [row["vector"][0] for row in stored(client, name)] == [0, 4, 8, 100]
