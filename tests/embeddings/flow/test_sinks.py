"""Rows into arrays and tables, and what comes back out of them."""

import csv
import datetime
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from embeddings.errors import InputError, OutputError
from embeddings.flow.collection.vector_search import Hits
from embeddings.flow.sinks.array import as_array
from embeddings.flow.sinks.csv_file import write_csv
from embeddings.flow.sinks.parquet_file import write_parquet
from embeddings.flow.sources.files import ZipMember, csv_rows, parquet_rows

Writer = Callable[[Any, Path], int]

both = pytest.mark.parametrize("write", [write_csv, write_parquet])

UTC = datetime.UTC
NOON = datetime.datetime(2026, 11, 21, 12, 0, 0, 5, UTC)


def vector(*values: float) -> Any:
    return np.array(values, np.float32)


class Failed:
    """A row of a safe collection that has failed."""

    input = "a.jpg"
    exception = ValueError("no picture.")


# Arrays


def test_vectors_become_one_array(tmp_path: Path) -> None:
    rows = [vector(1, 2), vector(3, 4), vector(5, 6)]
    array = as_array(iter(rows))
    assert array.dtype == np.float32
    assert array.tolist() == [[1, 2], [3, 4], [5, 6]]
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)


def test_numbers_lists_and_nothing_become_arrays() -> None:
    assert as_array([1, np.int32(2)]).tolist() == [1, 2]
    assert as_array([1, 2.5]).dtype == np.float64
    assert as_array([True, False]).dtype == np.bool_
    assert as_array([[1.0, 2.0], (3, 4)]).shape == (2, 2)
    assert as_array([np.zeros((2, 3, 4), np.uint8)] * 2).shape == (2, 2, 3, 4)
    assert as_array([]).shape == (0,)
    assert as_array([]).dtype == np.float32


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (vector(1), r"Row 3 has the shape \(1,\), but row 1 \(2,\)"),
        (3, r"Row 3 has the shape \(\)"),
        ([1, [2]], "Row 3 makes no array"),
        ({"v": vector(1, 2)}, r"Row 3 .* dict; take the column"),
        ("ab", r"Row 3 .* str"),
        (None, r"Row 3 .* NoneType"),
        (b"ab", r"Row 3 .* bytes"),
        (Failed(), r"Row 3 has failed: ValueError: no picture\. Drop"),
    ],
)
def test_other_rows_make_no_array(row: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_array([vector(1, 2), vector(3, 4), row])


# What both tables have in common


@both
def test_a_row_that_fails_leaves_what_was_there(write: Writer, tmp_path: Path) -> None:
    def rows() -> Iterator[Any]:
        yield from [{"a": 1}] * 5000
        raise KeyError("of the rows")

    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyError, match="of the rows"):
        write(rows(), tmp_path / "a")
    with pytest.raises(InputError):
        write([{"a": 1}, {"a": Image.new("RGB", (2, 2))}], tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@both
def test_a_place_that_is_none_is_told_before_rows_are_asked_for(
    write: Writer, tmp_path: Path
) -> None:
    def rows() -> Iterator[Any]:
        if tmp_path.exists():
            pytest.fail("a row was asked for")
        yield

    for path in (tmp_path / "none" / "a", tmp_path):
        with pytest.raises(OutputError, match=r"No such file|is a folder"):
            write(rows(), path)
    assert list(tmp_path.iterdir()) == []


@both
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": Image.new("RGB", (2, 2))}, "Column 'x' of row 2 is a picture"),
        ({"x": np.zeros((2, 2, 3), np.uint8)}, "Column 'x' of row 2 is a picture"),
        ({"x": [Image.new("RGB", (2, 2))]}, "Column 'x' of row 2 is a picture"),
        (object(), "Column 'value' of row 2 is a object"),
        ({"x": [object()]}, "Column 'x' of row 2"),
        ({"x": "\ud800"}, "Column 'x' of row 2"),
        ({1: 2}, "text; row 2 has 1"),
        ({" ": 2}, "text; row 2 has ' '"),
        ({}, "Row 2 is a dictionary without a column"),
        (Failed(), r"Row 2 has failed: ValueError: no picture\."),
    ],
)
def test_what_no_table_holds_names_column_and_row(
    write: Writer, tmp_path: Path, row: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write([{"a": 1}, row], tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


# CSV


def test_csv_holds_all_columns_in_order_of_appearance(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows: list[Any] = [
        {"file": Path("b/a.jpg"), "score": np.float32(0.1)},
        "alone",
        {"score": 2, "file": None, "ok": True},
        {"text": 'quoted "x",\r\nand more'},
    ]
    assert write_csv(iter(rows), path) == 4
    with open(path, newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["file", "score", "value", "ok", "text"],
            ["b/a.jpg", "0.1", "", "", ""],
            ["", "", "alone", "", ""],
            ["", "2", "", "True", ""],
            ["", "", "", "", 'quoted "x",\r\nand more'],
        ]
    frame = pd.read_csv(path)
    assert frame["score"].tolist()[::2] == [0.1, 2]
    assert frame["text"][3] == 'quoted "x",\r\nand more'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (vector(0.1, -2, 1e-7), "[0.1, -2.0, 1e-07]"),
        (np.array([1, 2]), "[1, 2]"),
        (np.array([True, False]), "[true, false]"),
        (np.array([[1.0, 2.0]]), "[[1.0, 2.0]]"),
        (np.array(3), "3"),
        (vector(math.nan, 1), "[NaN, 1.0]"),
        (vector(), "[]"),
        ((1, "ä", None), '[1, "ä", null]'),
        ({"a": np.float32(0.5), "b": Path("c")}, '{"a": 0.5, "b": "c"}'),
        (Hits(("a", 7), vector(0.9, 0.1)), '[["a", 0.9], [7, 0.1]]'),
        ([Hits((), vector())], "[[]]"),
        (NOON, "2026-11-21T12:00:00.000005+00:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (np.datetime64("2026-01-02T03:04"), "2026-01-02T03:04:00"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (np.bool_(True), "True"),
        (0.1 + 0.2, "0.30000000000000004"),
        (np.float64(0.1), "0.1"),
    ],
)
def test_csv_fields(tmp_path: Path, value: Any, text: str) -> None:
    write_csv([{"x": value, "y": 1}], tmp_path / "a.csv")
    assert list(csv_rows(tmp_path / "a.csv")) == [{"x": text, "y": "1"}]


def test_csv_has_no_bytes(tmp_path: Path) -> None:
    for value in (b"x", ZipMember(b"x", "a.jpg")):
        with pytest.raises(InputError, match=r"Column 'x' of row 1 is .*; write Parquet"):
            write_csv([{"x": value}], tmp_path / "a.csv")
    circle: list[Any] = []
    circle.append(circle)
    for row in ({"x": circle}, {"x": {(1, 2): 3}}):
        with pytest.raises(InputError, match="cannot be written as JSON"):
            write_csv([row], tmp_path / "a.csv")


def test_no_rows_are_an_empty_csv_file(tmp_path: Path) -> None:
    assert write_csv([], tmp_path / "a.csv") == 0
    assert (tmp_path / "a.csv").read_bytes() == b""
    assert list(csv_rows(tmp_path / "a.csv")) == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = TEXTS.filter(str.strip)


@given(rows=st.lists(st.dictionaries(NAMES, TEXTS, min_size=1, max_size=4), max_size=8))
def test_csv_round_trip(
    rows: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    assert write_csv(rows, path) == len(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    expected = [{name: row.get(name, "") for name in names} for row in rows]
    assert list(csv_rows(path)) == expected


@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_a_vector_in_csv_keeps_its_bits(
    values: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_csv([vector(*values)], path)
    (row,) = csv_rows(path)
    assert np.array_equal(np.array(json.loads(row["value"]), np.float32), vector(*values))


# Parquet


def test_parquet_keeps_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [
        {
            "file": Path("a.jpg"),
            "n": 1,
            "score": np.float32(0.5),
            "ok": np.bool_(True),
            "when": NOON.astimezone(datetime.timezone(datetime.timedelta(hours=2))),
            "day": datetime.date(2026, 1, 2),
            "vector": vector(1, 2),
            "doubles": np.array([1.0, 2.0]),
            "half": np.array([1, 2], np.float16),
            "hits": Hits(("a", "b"), vector(0.9, 0.1)),
            "tags": ("x", "y"),
            "more": {"page": 3, "of": [np.int64(4)]},
            "bytes": ZipMember(b"x", "a.jpg"),
        },
        {"file": None, "late": "x"},
    ]
    assert write_parquet(rows, path) == 2
    schema = parquet.read_schema(path)
    score = pa.struct([("id", pa.string()), ("score", pa.float32())])
    assert {field.name: field.type for field in schema} == {
        "file": pa.string(),
        "n": pa.int64(),
        "score": pa.float64(),
        "ok": pa.bool_(),
        "when": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
        "vector": pa.list_(pa.float32(), 2),
        "doubles": pa.list_(pa.float64(), 2),
        "half": pa.list_(pa.float32(), 2),
        "hits": pa.list_(score),
        "tags": pa.list_(pa.string()),
        "more": pa.struct([("page", pa.int64()), ("of", pa.list_(pa.int64()))]),
        "bytes": pa.binary(),
        "late": pa.string(),
    }
    first, second = parquet_rows(path)
    assert first["when"] == NOON
    assert first["vector"].tolist() == [1, 2]
    assert first["hits"][1] == {"id": "b", "score": pytest.approx(0.1)}
    assert first["bytes"] == b"x"
    assert {name for name, value in second.items() if value is not None} == {"late"}
    frame = pd.read_parquet(path)
    assert frame["vector"][0].tolist() == [1, 2]
    assert frame["file"][0] == "a.jpg"


def test_parquet_learns_types_late(tmp_path: Path) -> None:
    """Columns appear, and nulls and empty lists find their types, behind groups on disk."""
    path = tmp_path / "a.parquet"

    def rows() -> Iterator[dict[str, Any]]:
        for place in range(10_000):
            row: dict[str, Any] = {"id": place, "vector": None, "tags": []}
            if place > 5000:
                row |= {"vector": vector(place, 1), "tags": ["x"], "late": place}
            yield row

    assert write_parquet(rows(), path) == 10_000
    assert list(tmp_path.iterdir()) == [path]
    back = list(parquet_rows(path))
    assert [row["id"] for row in back] == list(range(10_000))
    assert back[5000] == {"id": 5000, "vector": None, "tags": [], "late": None}
    assert back[5001]["vector"].tolist() == [5001, 1]
    assert (back[5001]["tags"], back[5001]["late"]) == (["x"], 5001)


def test_parquet_dictionaries_have_the_keys_of_all_rows(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"x": {"a": 1}, "y": []}, {"x": {}}] * 2500
    rows += [{"x": {"b": "c"}, "y": [{"d": {}}, {"e": [1]}]}]
    write_parquet(rows, tmp_path / "a.parquet")
    back = list(parquet_rows(tmp_path / "a.parquet"))
    assert back[0] == {"x": {"a": 1, "b": None}, "y": []}
    assert back[1] == {"x": None, "y": None}
    assert back[5000] == {
        "x": {"a": None, "b": "c"},
        "y": [{"d": None, "e": None}, {"d": None, "e": [1]}],
    }


def test_parquet_is_written_in_groups(tmp_path: Path) -> None:
    write_parquet(({"v": vector(*range(8))} for _ in range(9000)), tmp_path / "a.parquet")
    assert parquet.read_metadata(tmp_path / "a.parquet").num_row_groups == 3
    # Large values fill a group before there are many.
    write_parquet(({"v": bytes(40_000_000)} for _ in range(4)), tmp_path / "b.parquet")
    assert parquet.read_metadata(tmp_path / "b.parquet").num_row_groups == 2


@pytest.mark.parametrize(
    ("before", "value", "message"),
    [
        (1, "a", "is of type string, but was of type int64 before"),
        (1, 0.5, "is of type double, but was of type int64"),
        (0.5, 1, "is of type int64, but was of type double"),
        (True, 1, "is of type int64, but was of type bool"),
        (vector(1, 2), vector(1), "is a vector of 1 float, but was a vector of 2 float"),
        (vector(1), np.array([1.0]), "is a vector of 1 double"),
        (vector(1), [1.0], "is of type list"),
        (["a"], [1], "is of type list"),
        (NOON, NOON.replace(tzinfo=None), "is of type timestamp"),
        (None, 2**70, "is a int that Parquet cannot hold"),
        (None, np.zeros((2, 2)), r"array of shape \(2, 2\)"),
        (None, vector(), "array of 0 float32"),
        (None, np.array(["a"]), "which is no vector"),
        ({"a": 1}, {"a": "b"}, "is of type struct"),
        (None, [1, "a"], "cannot hold"),
    ],
)
def test_a_column_that_changes_its_type_names_column_and_row(
    tmp_path: Path, before: Any, value: Any, message: str
) -> None:
    rows = [{"x": before}] * 5000 + [{"x": value}]
    with pytest.raises(InputError, match="Column 'x' of row 5001 .*" + message):
        write_parquet(rows, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_a_valid_parquet_file(tmp_path: Path) -> None:
    assert write_parquet([], tmp_path / "a.parquet") == 0
    assert list(parquet_rows(tmp_path / "a.parquet")) == []
    assert len(pd.read_parquet(tmp_path / "a.parquet")) == 0


def test_a_column_of_nothing_but_none(tmp_path: Path) -> None:
    assert write_parquet([{"x": None}, {"x": None, "y": []}], tmp_path / "a.parquet") == 2
    assert list(parquet_rows(tmp_path / "a.parquet")) == [
        {"x": None, "y": None},
        {"x": None, "y": []},
    ]


COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "bytes": st.binary(),
    "when": st.datetimes(timezones=st.just(UTC)),
    "texts": st.lists(TEXTS),
    "vector": st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
}


@given(
    rows=st.lists(
        st.fixed_dictionaries({}, optional={k: st.none() | v for k, v in COLUMNS.items()}).filter(
            bool
        )
    )
)
def test_parquet_round_trip(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    for row in rows:
        if row.get("vector") is not None:
            row["vector"] = vector(*row["vector"])
    assert write_parquet(rows, path) == len(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for row, back in zip(rows, parquet_rows(path), strict=True):
        assert list(back) == names
        for name, value in back.items():
            if name == "vector" and value is not None:
                assert np.array_equal(value, row[name])
                assert value.dtype == np.float32
            else:
                assert value == row.get(name)
