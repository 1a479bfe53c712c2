"""Rows to look at, in a terminal and in a notebook."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from embeddings.errors import InputError
from embeddings.flow.collection.vector_search import Hits
from embeddings.flow.display.table import shown
from embeddings.flow.display.text_width import width
from embeddings.flow.sources.files import ZipMember
from tests.embeddings.pictures import encode, scene


class Failed:
    """A row of a safe collection that has failed."""

    def __init__(self, value: Any) -> None:
        self.input = value
        self.exception = ValueError("no <picture>")


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def pictures(html: str) -> list[Image.Image]:
    """The pictures inside of a page, decoded."""
    encoded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(encoded) == html.count("<img")
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in encoded]


def cells(value: Any) -> tuple[str, str]:
    """How a value looks in text and in HTML."""
    table = shown([{"x": value}], limit=1)
    (cell,) = re.findall(r"<td[^>]*>(.*)</td>", table._repr_html_())
    return str(table).splitlines()[-1].removeprefix("1").strip(), cell


def test_a_table_in_text() -> None:
    rows = [{"file": "a.jpg", "n": 1}, {"n": None, "score": 0.123456789}, "alone"]
    assert str(shown(rows, limit=5)).splitlines() == [
        "   file   n     score     value",
        "─  ─────  ────  ────────  ─────",
        "1  a.jpg  1",
        "2         None  0.123457",
        "3                         alone",
    ]
    assert str(shown(rows, limit=2)).splitlines()[-1] == "…"
    assert repr(shown(rows, limit=2)) == str(shown(rows, limit=2))
    assert str(shown([], limit=3)) == "no rows"
    assert "no rows" in shown([], limit=3)._repr_html_()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([0.0131, -0.2, 1e-7, 4], np.float32), "float32 (4,) 0.0131 -0.2 1e-07 …"),
        (np.array([12345, 2]), "int64 (2,) 12345 2"),
        (np.array(["a"]), "<U1 (1,) a"),
        (np.array(0.5), "0.5"),
        (np.zeros((48, 64, 3), np.uint8), "uint8 64×48"),
        (scene(), "RGB 64×48"),
        (b"12345", "5 bytes"),
        (ZipMember(b"12345", "a/b.txt"), "a/b.txt (5 bytes)"),
        (Path("a/b.txt"), "a/b.txt"),
        ("two\nlines\x1b[31m", r"two\nlines\x1b[31m"),
        ([1, 2, 3, 4, 5], "[1, 2, 3, … (5)]"),
        ({"a": np.float32(0.5)}, "{a: 0.5}"),
        (Hits(("a", "b"), np.array([0.9, 0.1], np.float32)), "a 0.900, b 0.100"),
        (Hits((), np.empty(0, np.float32)), "no hits"),
    ],
)
def test_values_in_a_few_words(value: Any, text: str) -> None:
    assert cells(value)[0] == text


def test_html_is_escaped_in_names_values_and_failures() -> None:
    bad = '<b>&"x"</b>'
    html = shown([{bad: bad}, [bad], {bad: Path(bad)}, Failed(bad)], limit=9)._repr_html_()
    assert "<b>" not in html
    assert "<picture>" not in html
    assert html.count("&lt;b&gt;&amp;&quot;x&quot;&lt;/b&gt;") == 5


def test_a_column_named_like_a_picture_is_not_opened(demo: list[Path]) -> None:
    assert pictures(shown([{str(demo[0]): 1}], limit=1)._repr_html_()) == []


def test_pictures_are_small_and_inside_of_the_html(tmp_path: Path) -> None:
    large = scene(640, 480)
    png = encode(large, "png")
    (tmp_path / "A.PNG").write_bytes(png)
    values: list[Any] = [
        large,
        large.convert("CMYK"),
        np.asarray(large),
        tmp_path / "A.PNG",
        str(tmp_path / "A.PNG"),
        ZipMember(png, "deep/a.png"),
    ]
    for value in values:
        _, html = cells(value)
        (picture,) = pictures(html)
        assert (picture.size, picture.mode) == ((128, 96), "RGB")
        # Red in one corner, white in the opposite one.
        assert picture.getpixel((2, 2)) == pytest.approx((230, 30, 30), abs=30)
        assert picture.getpixel((125, 93)) == pytest.approx((245, 245, 245), abs=30)
    assert "deep/a.png" in cells(values[-1])[1]
    (small,) = pictures(cells(scene(20, 10))[1])
    assert small.size == (20, 10)


def test_what_is_no_picture_after_all_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    closed = Image.open(io.BytesIO(encode(scene(), "png")))
    closed.close()
    values = (tmp_path / "a.jpg", tmp_path / "none.jpg", "a\0.jpg", ZipMember(b"", "b.jpg"), closed)
    for value in values:
        assert pictures(cells(value)[1]) == []


def test_hits_and_lists_of_pictures_stand_side_by_side(demo: list[Path]) -> None:
    paths = [str(path) for path in demo[:12]]
    hits = Hits(tuple(paths), np.linspace(1, 0, 12, dtype=np.float32))
    html = cells(hits)[1]
    assert len(pictures(html)) == 10
    assert "<br>1.000" in html
    assert html.endswith("… (12)")
    assert len(pictures(cells(paths[:3])[1])) == 3
    assert cells(Hits(("a", 2), np.array([1, 0.5], np.float32)))[1].count("<div") == 2


def test_failed_rows_are_shown_as_such() -> None:
    table = shown([{"a": 1, "b": 2}, Failed("x.jpg")], limit=2)
    assert "failed: ValueError: no <picture> (input: x.jpg)" in str(table)
    assert '<td style="padding:2px 8px;text-align:left" colspan="2">failed' in table._repr_html_()
    assert str(shown([Failed(b"123")], limit=1)).splitlines()[2].startswith("1  failed: ValueErr")


def test_wide_characters_line_up() -> None:
    lines = str(
        shown([{"名前": "日本語", "n": 1}, {"名前": "é" * 2, "n": 2}], limit=2)
    ).splitlines()
    assert [width(line[: line.rindex(line.strip()[-1])]) for line in lines[2:]] == [11, 11]


def test_a_long_word_keeps_its_end_and_a_sentence_its_beginning() -> None:
    text = str(shown([{"a": "/folder" * 20 + "/name.jpg", "b": "many words " * 20}], limit=1))
    assert re.search(r"^1  /folder\S*…\S*/name\.jpg  many words many .*…$", text, re.MULTILINE)


VALUES = st.one_of(
    st.text(), st.floats(), st.integers(), st.binary(), st.none(), st.lists(st.text()), st.dates()
)


@given(
    rows=st.lists(st.dictionaries(st.text(), VALUES, max_size=30) | VALUES, min_size=1),
    columns=st.integers(20, 120),
)
def test_any_rows_fit_into_the_terminal(rows: list[Any], columns: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        lines = str(shown(rows, limit=5)).splitlines()
    assert max(map(width, lines)) <= columns
    assert len(lines) == 2 + min(len(rows), 5) + (len(rows) > 5)
    assert shown(rows, limit=5)._repr_html_().count("<tr>") == 1 + min(len(rows), 5)


def test_limits() -> None:
    for wrong in (0, -1, True, 2.5, None):
        with pytest.raises(InputError, match="limit of shown rows"):
            shown([1], limit=wrong)  # type: ignore[arg-type]
