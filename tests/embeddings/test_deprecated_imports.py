"""Import paths of earlier versions still work, and say where their names are now."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("embeddings.explain", "match", "embeddings.geometry"),
        ("embeddings.explain", "Kind", "embeddings.geometry"),
        (
            "embeddings.explain.local_features",
            "LocalFeatures",
            "embeddings.geometry.local_features",
        ),
        ("embeddings.runtime", "set_threads", "embeddings.thread_count"),
    ],
)
def test_a_moved_name_warns_and_is_the_same(old: str, name: str, new: str) -> None:
    module = importlib.import_module(old)
    with pytest.warns(DeprecationWarning, match=new):
        value = getattr(module, name)
    assert value is getattr(importlib.import_module(new), name)


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"embeddings\.explain"):
        importlib.import_module("embeddings.explain").__getattr__("nothing")


def test_decode_is_where_it_was() -> None:
    from embeddings.operators.decode import decode
    from embeddings.operators.decode.pillow import decode as same

    assert decode is same
