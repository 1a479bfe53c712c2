"""Wild metadata and wild filters, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from searchapp.services.filters.fields import FIXED, METADATA, FieldKind, Op, fold, words_of

# Few values, so that some of them meet, with all that means something in some grammar.
NASTY = (
    'a"b', "a'b", "a\\b", "\\", '\\"', "a\nb", "\t", "50%", "a_b", "$meta", '$meta["t"]', "t",
    "] or 1 == 1 or [", '" or "" == "', "{x}", "null", "true", "1969", "1969.0", "-0", "007", "ß",
    "SS", "ÅNGSTRÖM", "Å", "日本", "日", "🦊", "🦊🐻", "\u200b", "é", "e\u0301", "İ", "ﬁ",
    "  two  words ",
    "Two words", "2024-05-01", "2024-05-01T10:00:00Z", "1e5", "and", "not", "like 'x%'",
)  # fmt: skip
text = st.sampled_from(NASTY) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
).filter(lambda value: "\0" not in value)
number = (
    st.integers(-3, 3)
    | st.sampled_from([1969])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)
names = st.sampled_from(["a", "a", "a", "b", "year", "$meta", 'q"', "ü", "label", "t"])
value = (
    text | number | st.booleans() | st.none() | st.lists(text | number | st.booleans(), max_size=3)
)


def facts() -> st.SearchStrategy[dict[str, Any]]:
    """What a picture may be."""
    side = st.sampled_from([1, 100, 640, 4000])
    return st.fixed_dictionaries(
        {
            "label": st.sampled_from(["", "cat", "Cat", "dog"]) | text,
            "tags": st.lists(st.sampled_from(["x", "Y", "y"]) | text, max_size=3),
            "title": text,
            "metadata": st.dictionaries(names, value, max_size=4),
            "width": side,
            "height": side,
            "bytes": st.sampled_from([0, 7, 10**12]),
            "format": st.sampled_from(["jpeg", "png"]),
            "color": st.sampled_from(["", "#ff0000", "#00ff00", "#777777", "#8b4513"]),
        }
    )


def _findable(value: str) -> bool:
    return bool(fold(value))


found_text = text.filter(_findable)
found_number = (
    st.integers(-3, 3)
    | st.sampled_from([1969, 100, 640])
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
)


def tests() -> st.SearchStrategy[dict[str, Any]]:
    """Leaves of filters."""
    metadata = names.map(METADATA.__add__)
    texts = st.sampled_from(["label", "title", "name", "format"]) | metadata
    anything = found_text | found_number | st.booleans()
    ends = st.sampled_from(
        ["2024-05-01", "2024-05-01T10:00:00Z", "1999-12-31", "2030-01-01T00:00:00Z"]
    )
    chosen = {name: field for name, field in FIXED.items() if field.choices}
    return st.one_of(
        st.builds(lambda f, v: {"field": f, "equals": v}, texts, found_text),
        st.builds(lambda f, v: {"field": f, "equals": v}, metadata, anything),
        st.builds(lambda f, v: {"field": f, "in": v}, texts, st.lists(found_text, min_size=1)),
        st.builds(lambda f, v: {"field": f, "begins": v}, texts, found_text),
        st.builds(
            lambda f, v: {"field": f, "words": v}, texts, found_text.filter(lambda v: words_of(v))
        ),
        st.builds(
            lambda f, op, v: {"field": f, str(op): v},
            st.just("tags"),
            st.sampled_from([Op.ANY, Op.ALL, Op.NONE]),
            st.lists(found_text | st.sampled_from(["x", "y"]), min_size=1, max_size=3),
        ),
        st.builds(
            lambda f, op, v: {"field": f, str(op): v},
            metadata,
            st.sampled_from([Op.ANY, Op.ALL, Op.NONE]),
            st.lists(anything, min_size=1, max_size=3),
        ),
        st.sampled_from(sorted(chosen)).flatmap(
            lambda f: st.sampled_from(chosen[f].choices).map(lambda v: {"field": f, "equals": v})
        ),
        st.builds(
            _range,
            metadata | st.sampled_from([n for n, f in FIXED.items() if f.kind == FieldKind.NUMBER]),
            st.none() | found_number,
            st.none() | found_number,
        ),
        st.builds(_range, metadata | st.just("created"), st.none() | ends, ends),
        st.builds(
            lambda f, v: {"field": f, "exists": v}, texts | st.just("tags"), st.booleans()
        ),
    )  # fmt: skip


def _range(field: str, low: Any, high: Any) -> dict[str, Any]:
    ends = {name: end for name, end in (("min", low), ("max", high)) if end is not None}
    return {"field": field, **(ends or {"min": 0})}


def filters() -> st.SearchStrategy[dict[str, Any]]:
    """Whole filters."""
    return st.recursive(
        tests(),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts})
            | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts})
            | inner.map(lambda part: {"not": part})
        ),
        max_leaves=6,
    )
