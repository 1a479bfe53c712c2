"""Rows out of files, and what files that are wrong say."""

import csv
import io
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from embeddings import ops
from embeddings.errors import InputError, UnknownName
from embeddings.flow.sources.files import (
    Archive,
    ZipMember,
    csv_rows,
    glob_paths,
    parquet_rows,
    zip_members,
)


def as_file(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("read", [csv_rows, parquet_rows, zip_members, Archive])
def test_a_wrong_path_fails_at_the_call(read: Callable[..., Any], tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none", "There is no file"),
        (tmp_path, "is a folder"),
        ("", "empty"),
        ("a\0b", "no path"),
        (3, "not int"),
        (None, "not NoneType"),
        (b"a", "not bytes"),
    ):
        with pytest.raises(InputError, match=message):
            read(path)


def test_knowing_the_functions_loads_no_heavy_package() -> None:
    script = (
        "import sys, embeddings.flow.sources.files, embeddings.flow.sinks.csv_file, "
        "embeddings.flow.collection.vector_search, embeddings.flow.display.table; "
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pyarrow", "pandas", "torch", "pymilvus", "ray", "faiss", "cv2"} & set(loaded)


# Files by pattern


def test_glob_sorts_within_a_pattern_and_names_each_file_once(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "sub/deep/c.jpg", "sub/d.png", ".hidden.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()

    def found(*patterns: str) -> list[str]:
        paths = glob_paths(*(tmp_path / pattern for pattern in patterns))
        return [str(Path(path).relative_to(tmp_path)) for path in paths]

    assert found("*.jpg") == ["a.jpg", "b.jpg"]
    assert found("**/*.jpg") == ["a.jpg", "b.jpg", "sub/deep/c.jpg"]
    assert found("sub/*.png", "**/*.*") == ["sub/d.png", "a.jpg", "b.jpg", "sub/deep/c.jpg"]
    assert found("b.jpg", "sub/../*.jpg") == ["b.jpg", "sub/../a.jpg"]
    assert found("*.gif", "[b]*") == ["b.jpg"]


def test_glob_looks_when_it_is_asked(tmp_path: Path) -> None:
    paths = glob_paths(str(tmp_path / "*"))
    (tmp_path / "late").touch()
    assert list(paths) == [str(tmp_path / "late")]


def test_glob_needs_patterns() -> None:
    for patterns, message in (
        ((), "at least one"),
        (("",), "empty"),
        (("a\0",), "NUL"),
        ((["*"],), "not list"),
    ):
        with pytest.raises(InputError, match=message):
            glob_paths(*patterns)


# CSV


def test_csv_rows_by_column(tmp_path: Path) -> None:
    path = as_file(
        tmp_path / "a.csv", '\ufefffile,title\r\n\r\na.jpg,"one, ""two""\nthree"\r\nb.jpg,\r\n'
    )
    assert list(csv_rows(path)) == [
        {"file": "a.jpg", "title": 'one, "two"\nthree'},
        {"file": "b.jpg", "title": ""},
    ]
    other = as_file(tmp_path / "b.csv", "file;n\nä.jpg;1,5")
    assert list(csv_rows(str(other), delimiter=";")) == [{"file": "ä.jpg", "n": "1,5"}]
    assert list(csv_rows(as_file(tmp_path / "c.csv", ""))) == []
    assert list(csv_rows(as_file(tmp_path / "d.csv", "a,b\n"))) == []


@pytest.mark.parametrize(
    ("content", "message", "before"),
    [
        ("a,b\n1,2\n3\n", r"Line 3 .* has 1 values, but there are 2 columns \(a, b\)", 1),
        ('a,b\n"1\n\n",2\n3,4,5\n', "Line 5 .* has 3 values", 1),
        ("a,a\n1,2\n", "Line 1 .* 'a' more than once", 0),
        ("a,,b\n1,2,3\n", "Line 1 .* column 2 no name", 0),
        ("a, \n1,2\n", "column 2 no name", 0),
        ('a,b\n1,2\n3,"4\n5,6\n', "Line 3 .* no CSV", 1),
        ('a,b\n1,"2"3\n', "Line 2 .* no CSV", 0),
        ("a,b\n1,\xe4\n".encode("latin-1"), "not UTF-8 .* save it as UTF-8", 0),
        ("a,b\n1,2\n".encode("utf-16"), "not UTF-8", 0),
        ("a\n" + "x" * 200_000, "Line 2 .* field larger than field limit", 0),
    ],
)
def test_csv_that_is_wrong_names_the_line(
    tmp_path: Path, content: str | bytes, message: str, before: int
) -> None:
    rows = csv_rows(as_file(tmp_path / "a.csv", content))
    for _ in range(before):
        next(rows)
    with pytest.raises(InputError, match=message):
        next(rows)


def test_csv_delimiters(tmp_path: Path) -> None:
    path = as_file(tmp_path / "a.csv", "a\n")
    for wrong in ("", ",,", '"', "\n", None):
        with pytest.raises(InputError, match="one character"):
            csv_rows(path, delimiter=wrong)  # type: ignore[arg-type]


NAMES = st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=4, unique=True)


@given(data=st.data(), names=NAMES, delimiter=st.sampled_from(",;\t|"))
def test_csv_reads_what_csv_writes(
    data: st.DataObject,
    names: list[str],
    delimiter: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, st.text()))))
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    assert list(csv_rows(path, delimiter=delimiter)) == rows


# Parquet


def test_parquet_lists_of_numbers_are_arrays_of_their_own(tmp_path: Path) -> None:
    vectors = np.arange(2400, dtype=np.float32).reshape(600, 4)
    table = pa.table(
        {
            "id": pa.array(range(600)),
            "fixed": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 4),
            "some": pa.array(
                [list(range(place % 3)) for place in range(600)], pa.list_(pa.int16())
            ),
            "null": pa.array([None, [1.0, None]] * 300, pa.large_list(pa.float64())),
            "words": pa.array([["a"], []] * 300),
        }
    )
    # A slice has offsets that are not zero; three row groups and batches that cross none.
    parquet.write_table(table.slice(1), tmp_path / "a.parquet", row_group_size=300)
    rows = list(parquet_rows(tmp_path / "a.parquet"))
    assert [row["id"] for row in rows] == list(range(1, 600))
    assert all(np.array_equal(row["fixed"], vectors[row["id"]]) for row in rows)
    assert {row["fixed"].dtype for row in rows} == {np.dtype(np.float32)}
    assert all(row["some"].tolist() == list(range(row["id"] % 3)) for row in rows)
    assert rows[0]["some"].dtype == np.int16
    assert rows[1]["null"] is None
    assert np.array_equal(rows[0]["null"], [1, np.nan], equal_nan=True)
    assert rows[1]["words"] == ["a"]
    rows[0]["fixed"][:] = 0
    assert rows[0]["fixed"].base is None


def test_parquet_columns(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"file": ["a"], "title": ["b"]}), tmp_path / "a.parquet")
    assert list(parquet_rows(tmp_path / "a.parquet", ["title"])) == [{"title": "b"}]
    assert list(parquet_rows(tmp_path / "a.parquet", ("title", "file"))) == [
        {"title": "b", "file": "a"}
    ]
    with pytest.raises(UnknownName, match=r"column in .* named 'titel'; did you mean 'title'"):
        list(parquet_rows(tmp_path / "a.parquet", ["titel"]))
    for wrong, message in (("title", r"\['title'\]"), ([], "at least one column")):
        with pytest.raises(InputError, match=message):
            parquet_rows(tmp_path / "a.parquet", wrong)


def test_parquet_that_is_none(tmp_path: Path) -> None:
    for content in (b"", b"PAR1", b"a,b\n1,2\n" * 9):
        rows = parquet_rows(as_file(tmp_path / "a.parquet", content))
        with pytest.raises(InputError, match=r"a\.parquet is no Parquet file"):
            next(rows)
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    parquet.write_table(twice, tmp_path / "b.parquet")
    with pytest.raises(InputError, match="more than one column named 'a'"):
        next(parquet_rows(tmp_path / "b.parquet"))


def test_damaged_parquet_says_behind_which_row(tmp_path: Path) -> None:
    table = pa.table({"x": np.random.default_rng(0).random(2000)})
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path, row_group_size=1000, compression="zstd", use_dictionary=False)
    start = parquet.read_metadata(path).row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    rows = parquet_rows(path)
    assert len([next(rows) for _ in range(768)]) == 768
    with pytest.raises(InputError, match=r"a\.parquet .* behind row"):
        list(rows)


# ZIP archives


def archive_of(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_members_know_their_names(tmp_path: Path) -> None:
    path = archive_of(
        tmp_path / "a.zip",
        ("b/", b""),
        ("b/ü.jpg", b"one"),
        ("a.JPG", b"two"),
        ("/absolute/../x.jpg", b"three"),
        ("empty.jpg", b""),
        method=zipfile.ZIP_DEFLATED,
    )
    members = list(zip_members(path))
    assert [(member.name, bytes(member)) for member in members] == [
        ("b/ü.jpg", b"one"),
        ("a.JPG", b"two"),
        ("/absolute/../x.jpg", b"three"),
        ("empty.jpg", b""),
    ]
    assert len(list(zip_members(path, "*.jpg"))) == 3
    assert [member.name for member in zip_members(path, "b/*")] == ["b/ü.jpg"]
    assert list(zip_members(path, "*.png")) == []
    again = pickle.loads(pickle.dumps(members[0]))
    assert type(again) is ZipMember
    assert (again.name, again) == ("b/ü.jpg", b"one")
    assert "b/ü.jpg" in repr(again)


def test_two_members_of_one_name_are_two(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = archive_of(tmp_path / "a.zip", ("a", b"one"), ("a", b"two"))
    assert list(zip_members(path)) == [b"one", b"two"]


def test_an_archive_can_be_read_again_and_elsewhere(tmp_path: Path) -> None:
    archive = Archive(archive_of(tmp_path / "a.zip", ("a", b"one"), ("b", b"two")), "b")
    (entry,) = archive.entries()
    assert [archive.read(one) for one in archive.entries()] == [b"two"]
    elsewhere = pickle.loads(pickle.dumps(archive))
    assert elsewhere.read(pickle.loads(pickle.dumps(entry))) == b"two"
    assert list(elsewhere.entries()) == [entry]


def test_an_archive_that_has_changed_is_told(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.zip", ("a", b"one"), ("b", b"two"))
    entries = list(Archive(path).entries())
    archive_of(path, ("a", b"one"))
    with pytest.raises(InputError, match=r"'b' of .* the archive has changed"):
        Archive(path).read(entries[1])


def test_what_is_no_archive_fails_with_the_first_member(tmp_path: Path) -> None:
    whole = archive_of(tmp_path / "whole.zip", ("a", b"x" * 99)).read_bytes()
    for content in (b"", b"no archive", whole[:-30], whole[:60] + whole[90:]):
        members = zip_members(as_file(tmp_path / "a.zip", content))
        with pytest.raises(InputError, match=r"a\.zip"):
            next(members)


def patched(path: Path, name: bytes, offset: int, form: str, value: int) -> None:
    """Set a field of a member in the list of the archive."""
    data = bytearray(path.read_bytes())
    at = data.rindex(name) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into(form, data, at + offset, value)
    path.write_bytes(data)


def encrypted(path: Path) -> None:
    patched(path, b"bad", 8, "<H", 1)


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"content", b"CONTENT"))


def larger_than_told(path: Path) -> None:
    patched(path, b"bad", 24, "<I", 3)


def of_another_method(path: Path) -> None:
    patched(path, b"bad", 10, "<H", 14)


def elsewhere(path: Path) -> None:
    """To where no member begins, and to none that another one would overlap with."""
    patched(path, b"bad", 42, "<I", path.read_bytes().index(b"PK\x01\x02"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (encrypted, "encrypted"),
        (damaged, "Bad CRC"),
        (larger_than_told, "cannot be read"),
        (of_another_method, "method 14"),
        (elsewhere, "cannot be read"),
    ],
)
def test_a_bad_member_is_one_error_and_the_others_follow(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    path = archive_of(tmp_path / "a.zip", ("a", b"one"), ("bad", b"content"), ("c", b"three"))
    spoil(path)
    members = zip_members(path)
    assert next(members) == b"one"
    with pytest.raises(InputError, match=rf"'bad' of .*a\.zip .*{message}"):
        next(members)
    assert list(members) == [b"three"]


def test_large_members_and_bombs_are_refused(tmp_path: Path) -> None:
    path = archive_of(
        tmp_path / "a.zip",
        ("white", bytes(9_000_000)),
        ("bomb", bytes(20_000_000)),
        method=zipfile.ZIP_DEFLATED,
    )
    members = zip_members(path)
    assert len(next(members)) == 9_000_000  # small enough to be of any ratio
    with pytest.raises(InputError, match=r"'bomb' .* 200 times"):
        next(members)
    assert len(next(zip_members(path, "bomb", max_ratio=2000))) == 20_000_000
    with pytest.raises(InputError, match="9,000,000 bytes, and 8,999,999 are the limit"):
        next(zip_members(path, max_bytes=8_999_999))


@given(
    cut=st.integers(0, 250),
    changes=st.lists(st.tuples(st.integers(0, 249), st.integers(0, 255)), max_size=4),
)
def test_whatever_an_archive_holds_fails_with_a_sentence(
    cut: int, changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.jpg", b"content one")
        archive.writestr("two.jpg", b"content two")
    content = bytearray(file.getvalue())
    for place, value in changes:
        content[place % len(content)] = value
    if cut:
        del content[cut:]
    path = as_file(tmp_path_factory.mktemp("zip") / "a.zip", bytes(content))
    members: Iterator[ZipMember] = zip_members(path)
    for _ in range(5):
        try:
            if next(members, None) is None:
                break
        except InputError:
            continue


def test_a_member_is_a_picture(tmp_path: Path, demo: list[Path]) -> None:
    path = archive_of(tmp_path / "a.zip", (demo[0].name, demo[0].read_bytes()))
    (member,) = zip_members(path)
    assert ops.image_decode.pillow()(member) == ops.image_decode.pillow()(demo[0])
