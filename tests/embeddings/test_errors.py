"""Errors carry a code and a sentence, and cross process borders."""

import pickle

import pytest

from embeddings.errors import (
    Busy,
    EmbeddingsError,
    ImageError,
    InputError,
    RecipeError,
    UnknownName,
    WeightsError,
)


@pytest.mark.parametrize(
    "error",
    [
        ImageError("corrupt", "It is broken."),
        InputError("Not that."),
        RecipeError("Not so."),
        WeightsError("weights_missing", "Gone."),
        Busy("Later."),
        UnknownName("pipeline", "image-embeding", ["image-embedding", "other"]),
    ],
)
def test_errors_survive_pickling(error: EmbeddingsError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.code, again.detail, str(again)) == (error.code, error.detail, error.detail)


def test_unknown_name_gives_the_nearest() -> None:
    error = UnknownName("model", "efficientnet-lite", ["efficientnet-lite0", "resnet50"])
    assert error.code == "unknown_name"
    assert error.nearest == ("efficientnet-lite0",)
    assert "did you mean 'efficientnet-lite0'?" in error.detail


def test_unknown_name_without_a_near_one_lists_what_there_is() -> None:
    assert "known are 'resnet50'" in UnknownName("model", "zzzz", ["resnet50"]).detail
    assert "none is registered" in UnknownName("model", "zzzz", []).detail
