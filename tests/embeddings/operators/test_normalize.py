"""Normalizations of vectors, among them the fitted one."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embeddings import Pipeline, ops
from embeddings.errors import InputError, RecipeError, WeightsError
from embeddings.operators.normalize import L2
from embeddings.operators.whitening import fit_pca_whitening


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    """300 vectors of 12 dimensions that hang together, away from the origin."""
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12) * 9
    return mixed.astype(np.float32)


def test_power_keeps_signs() -> None:
    power = ops.normalize.power()
    vector = np.array([4, -9, 0, 0.25], np.float32)
    assert power(vector).tolist() == [2, -3, 0, 0.5]
    assert power.batch([vector, vector]).dtype == np.float32  # type: ignore[attr-defined]
    assert np.array_equal(ops.normalize.power(1)(vector), vector)
    for wrong in (0, -1, 1.5, float("nan"), True, "a", None, [0.5]):
        with pytest.raises(RecipeError, match=r"alpha|finite number"):
            ops.normalize.power(wrong)


def test_l2_takes_one_vector_or_many(vectors: NDArray[np.float32]) -> None:
    l2 = ops.normalize.l2()
    assert abs(np.linalg.norm(l2(vectors[0])) - 1) < 1e-6
    assert np.abs(np.stack([l2(v) for v in vectors]) - l2.batch(list(vectors))).max() <= 1e-6
    assert l2(np.zeros(3, np.float32)).tolist() == [0, 0, 0]
    assert list(l2.batch([])) == []
    with pytest.raises(InputError, match=r"\(11,\), \(12,\)"):
        l2.batch([vectors[0], vectors[0][:11]])
    with pytest.raises(InputError, match=r"\(300, 12\)"):
        l2(vectors)


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-30, 1e-22, 1e-16, 1e19, 1e30, 3e38])
def test_l2_of_tiny_and_huge_vectors(scale: float) -> None:
    rows = np.array([[1, 1], [1, 0], [0, -1]], np.float32) * np.float32(scale)
    expected = np.array([[0.5**0.5, 0.5**0.5], [1, 0], [0, -1]], np.float32)
    np.testing.assert_allclose(L2()(rows), expected, rtol=1e-6)


def test_l2_keeps_the_bits_of_ordinary_vectors(vectors: NDArray[np.float32]) -> None:
    rows = np.concatenate([vectors, vectors * np.float32(1e-12), vectors * np.float32(1e12)])
    plain = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    extreme = np.zeros((3, 12), np.float32)
    extreme[1:] = [[1e-30], [1e30]]
    unit = L2()(np.concatenate([rows, extreme]))
    assert unit.dtype == np.float32
    assert np.array_equal(unit[:-3], plain)
    assert np.array_equal(L2()(rows), plain)
    assert not unit[-3].any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_l2_of_what_is_no_number(wrong: float) -> None:
    with pytest.raises(InputError, match="finite"):
        L2()(np.array([[1, 2], [wrong, 3]], np.float32))


def test_l2_of_other_shapes() -> None:
    assert L2()(np.empty((0, 4), np.float32)).shape == (0, 4)
    assert L2()(np.empty((2, 0), np.float32)).shape == (2, 0)
    with pytest.raises(InputError, match=r"not \(3,\)"):
        L2()(np.ones(3, np.float32))


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_whitened_vectors_are_white(
    ending: str, tmp_path: Path, vectors: NDArray[np.float32]
) -> None:
    path = tmp_path / f"white.{ending}"
    digest = fit_pca_whitening(vectors, path, 8)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    white = np.asarray(ops.normalize.pca_whitening(path).batch(list(vectors)))
    assert white.shape == (300, 8)
    assert white.dtype == np.float32
    np.testing.assert_allclose(np.cov(white.T), np.eye(8), atol=1e-2)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-3)
    again = tmp_path / f"again.{ending}"
    assert fit_pca_whitening(vectors, again, 8) == digest
    # The file's content is in the recipe, its place is not.
    one, other = (ops.normalize.pca_whitening(str(at)) for at in (path, again))
    assert one.recipe == other.recipe
    assert dict(one.recipe.parameters) == {"sha256": digest}
    assert fit_pca_whitening(vectors, again, 7) != digest


def test_whitening_in_a_recipe(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    path = tmp_path / "white.npz"
    fit_pca_whitening(vectors, path, 3)
    graph = Pipeline.input("v").map("v", "w", ops.normalize.pca_whitening(path)).output("w")
    with pytest.raises(RecipeError, match="needs the path"):
        Pipeline.from_recipe(graph.recipe)
    local = {"normalize.pca_whitening": {"path": path}}
    again = Pipeline.from_recipe(graph.recipe, local)
    assert again.fingerprint == graph.fingerprint
    assert np.array_equal(again(vectors[0]), graph(vectors[0]))
    fit_pca_whitening(vectors, path, 4)
    with pytest.raises(WeightsError) as caught:
        Pipeline.from_recipe(graph.recipe, local)
    assert caught.value.code == "weights_mismatch"


def test_files_that_are_no_whitening(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    def code(path: Path, sha256: str | None = None) -> str:
        with pytest.raises(WeightsError) as caught:
            ops.normalize.pca_whitening(path, sha256=sha256)
        return caught.value.code

    path = tmp_path / "white.npz"
    assert code(path) == "weights_missing"
    path.write_bytes(b"nothing")
    assert code(path) == "weights_mismatch"
    np.savez(path, mean=np.zeros(3), scale=np.ones(2))
    assert code(path) == "weights_mismatch"
    np.savez(path, mean=np.zeros(3), scale=np.ones(2), components=np.ones((3, 2)))
    assert code(path) == "weights_mismatch"
    np.savez(path, mean=np.array([{}]), scale=np.ones(2), components=np.ones((3, 2)))
    assert code(path) == "weights_mismatch"  # objects are never unpickled
    fit_pca_whitening(vectors, path, 3)
    assert code(path, "0" * 64) == "weights_mismatch"
    with pytest.raises(InputError, match="12"):
        ops.normalize.pca_whitening(path)(vectors[0][:5])


def test_what_cannot_be_fitted(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    path = tmp_path / "white.npz"
    for sample, dimension in ((vectors, 13), (vectors, 0), (vectors[:5], 5), (vectors[:1], 1)):
        with pytest.raises(InputError):
            fit_pca_whitening(sample, path, dimension)
    with pytest.raises(InputError, match="finite"):
        fit_pca_whitening(np.full((4, 3), np.nan, np.float32), path, 1)
    with pytest.raises(InputError, match="ends in"):
        fit_pca_whitening(vectors, tmp_path / "white.txt", 2)
    with pytest.raises(InputError, match="eps"):
        fit_pca_whitening(vectors, path, 2, eps=0)
    assert not list(tmp_path.iterdir())
    # All alike: no variance at all, and still finite numbers.
    fit_pca_whitening(np.ones((4, 3), np.float32), path, 2)
    assert np.isfinite(ops.normalize.pca_whitening(path)(np.ones(3, np.float32))).all()


@pytest.mark.parametrize("dimension", [2.0, "2", 1e200, True, None, [2], -1, 10**400])
def test_dimensions_that_are_none(
    dimension: Any, tmp_path: Path, vectors: NDArray[np.float32]
) -> None:
    with pytest.raises(InputError, match="give 1 to 12 components"):
        fit_pca_whitening(vectors, tmp_path / "white.npz", dimension)


def test_a_dimension_of_numpy(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    path = tmp_path / "white.npz"
    dimension: Any = np.int64(3)
    assert fit_pca_whitening(vectors, path, dimension) == fit_pca_whitening(vectors, path, 3)


@pytest.mark.parametrize("eps", ["a", None, True, np.nan, np.inf, -1])
def test_eps_that_is_none(eps: Any, tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match="eps must be a number above 0"):
        fit_pca_whitening(vectors, tmp_path / "white.npz", 2, eps)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([["a", "b"], ["c", "d"]], "could not convert"),
        ([[1, 2], [3]], "shape"),
        ([[1, 2], [3, None]], "NaN"),
        ([[1, 2], [3, 1e200]], "larger"),
        ([[1, 2], [3, -np.inf]], "infinity"),
        ([[1, 2], [3, 10**400]], "too large"),
        (np.empty((3, 0)), "1 to 0 components"),
        (np.zeros(5), r"shape \(5,\)"),
        (None, r"shape \(\)"),
    ],
)
def test_samples_that_are_none(wrong: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        fit_pca_whitening(wrong, tmp_path / "white.npz", 1)


def test_paths_of_whitenings(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    wrong: Any
    for wrong in (None, 5, b"white.npz", "a\0.npz"):
        with pytest.raises(InputError, match="must be a path"):
            fit_pca_whitening(vectors, wrong, 2)
    for wrong in (5, b"white.npz", [1]):
        with pytest.raises(RecipeError, match="must be text or a path"):
            ops.normalize.pca_whitening(wrong)
    with pytest.raises(WeightsError, match="null"):
        ops.normalize.pca_whitening("a\0.npz")
    with pytest.raises(FileNotFoundError, match="no-such-folder"):
        fit_pca_whitening(vectors, tmp_path / "no-such-folder" / "white.npz", 2)
