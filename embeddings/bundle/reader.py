"""Reading and verification of bundles: `load` and `Bundle`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.atomic_write import Destination
from embeddings.bundle import manifest
from embeddings.bundle.checks import Seen, check_ids, not_unit
from embeddings.bundle.faiss_index import to_faiss
from embeddings.bundle.formats import FORMATS, Block, Reader
from embeddings.bundle.provenance import restored
from embeddings.bundle.rows import Batch
from embeddings.bundle.writer import export
from embeddings.errors import BundleError, InputError, PackageMissing
from embeddings.recipes import Recipe

if TYPE_CHECKING:
    from embeddings.flow.graph import Pipeline
    from embeddings.pipelines import ImagePipeline

# In any format a number of a vector takes at least this many bytes: a digit and a comma.
_BYTES_A_NUMBER = 2


class Bundle:
    """Vectors with their ids, metadata and recipe, as returned by `load`.

    Attributes: `path`; `manifest`, a dictionary; `fingerprint`, which says what the vectors may be
    compared with; `recipe`, the `Recipe` that made them, or a dictionary for a graph pipeline. Its
    length is the number of rows. Can be pickled: the other process reads the files.
    """

    def __init__(self, path: Path, said: dict[str, Any], reader: Reader) -> None:
        """Called by `load` only."""
        self.path = path
        self.manifest = said
        self.fingerprint: str = said["fingerprint"]
        self.recipe: Recipe | dict[str, Any] = restored(said["recipe"])
        self._reader = reader

    def __len__(self) -> int:
        return int(self.manifest["count"])

    def __repr__(self) -> str:
        rows, dimension = len(self), self.manifest["dimension"]
        return f"<Bundle {self.path.name} ({rows} x {dimension}) {self.fingerprint[:12]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Raises when the files are no longer those that were verified here.
        return _again, (self.path, self.manifest["manifest_sha256"])

    @property
    def vectors(self) -> NDArray[np.float32]:
        """All vectors, float32 (N, D), read-only; for npy they are paged in from disk on use."""
        mapped = self._mapped
        return self._rows.vectors if mapped is None else mapped

    @property
    def ids(self) -> list[str]:
        """The ids, in the order of the vectors."""
        return self._rows.ids

    @cached_property
    def metadata(self) -> list[dict[str, Any]]:
        """A dictionary for each vector, in the same order."""
        with _reading(self.path):
            return list(map(_metadata, self._rows.metadata))

    def batches(self) -> Iterator[Batch]:
        """All rows in order, in batches; memory use is constant.

        Raises `BundleError` (`bundle_damaged`) when a file cannot be read.
        """
        for block in self._blocks(vectors=True):
            with _reading(self.path):
                rows = list(map(_metadata, block.metadata))
            yield Batch(block.ids, block.vectors, rows)

    def pipeline(self, **options: Any) -> "ImagePipeline | Pipeline":
        """The pipeline whose vectors can be compared with these, for query pictures.

        An `ImagePipeline`, with the options `runtime`, `precision` and `device`; for a graph recipe
        a `Pipeline`, with the option `local`. Raises what these raise.
        """
        if isinstance(self.recipe, Recipe):
            from embeddings.pipelines import pipeline

            return pipeline(self.recipe, **options)
        from embeddings.flow.graph import Pipeline

        return Pipeline.from_recipe(self.recipe, **options)

    def export(self, path: Destination, *, format: str = "npy", overwrite: bool = False) -> None:
        """Write the bundle in another format: see `embeddings.bundle.export`."""
        export(self, path, format=format, overwrite=overwrite)

    def to_faiss(self, path: Destination) -> int:
        """Write a FAISS index of the bundle: see `embeddings.bundle.to_faiss`."""
        return to_faiss(self, path)

    def verify_rows(self) -> None:
        """Check every row, as `load` does. Raises `BundleError` (`bundle_damaged`)."""
        self._rows = self._collected(check=True)

    @cached_property
    def _mapped(self) -> NDArray[np.float32] | None:
        with _reading(self.path):
            return self._reader.mapped()

    @cached_property
    def _rows(self) -> "_Rows":
        return self._collected(check=False)

    def _collected(self, *, check: bool) -> "_Rows":
        """All rows, read once; with `check`, each is validated like the input of a writer."""
        mapped = self._mapped
        shape = len(self), int(self.manifest["dimension"])
        vectors = np.empty(shape, np.float32) if mapped is None else mapped
        ids: list[str] = []
        metadata: list[str] = []
        seen = Seen()
        for block in self._blocks(vectors=check or mapped is None):
            if check:
                with _reading(self.path):
                    _check(block, seen)
            if mapped is None:
                vectors[len(ids) : len(ids) + len(block.ids)] = block.vectors
            ids += block.ids
            metadata += block.metadata
        vectors.flags.writeable = False
        return _Rows(ids, metadata, vectors)

    def _blocks(self, *, vectors: bool) -> Iterator[Block]:
        """The reader's blocks, exactly as many rows as the manifest says."""
        remaining = len(self)
        with _reading(self.path):
            for block in self._reader.blocks(vectors=vectors):
                remaining -= len(block.ids)
                if remaining < 0 or len(block.metadata) != len(block.ids):
                    break
                yield block
            if remaining:
                raise ValueError(f"there are not {len(self)} rows in it")


class _Rows(NamedTuple):
    ids: list[str]
    metadata: list[str]
    vectors: NDArray[np.float32]


def load(
    path: Destination,
    *,
    fingerprint: str | None = None,
    allow_other: bool = False,
    verify: bool = True,
) -> Bundle:
    """Load the bundle in the folder `path`.

    `fingerprint` is that of the vectors to compare with (`recipe(name).fingerprint`, or a
    pipeline's); a bundle with another one is refused, unless `allow_other`. With `verify` every
    byte is checked against the digests of the manifest, and every row is validated. Without it only
    names, sizes and shapes are checked: fast, for bundles that you wrote yourself.

    Raises `BundleError` with `bundle_missing`, `bundle_too_new`, `fingerprint_differs`, or
    `bundle_damaged` when anything differs from the manifest, and `PackageMissing` when a package is
    not installed.
    """
    folder = Path(path).absolute()
    data = manifest.read(folder)
    if fingerprint is not None and fingerprint != data["fingerprint"] and not allow_other:
        raise BundleError(
            "fingerprint_differs",
            f"The vectors of {folder} have the fingerprint {data['fingerprint']}, and "
            f"{fingerprint} is asked for: they cannot be compared. Compute them again by the "
            "same recipe, or say allow_other=True to see them all the same.",
        )
    manifest.check_names(folder, data)
    count, dimension = data["count"], data["dimension"]
    if count * dimension * _BYTES_A_NUMBER > sum(x["bytes"] for x in data["files"].values()):
        raise manifest.damaged(folder, f"its files are too small for {count} vectors")
    if verify:
        # Digests first: no other library parses an unverified file.
        manifest.check_digests(folder, data)
    with _reading(folder):
        reader = FORMATS[data["format"]].reader(folder, count, dimension)
    bundle = Bundle(folder, data, reader)
    if verify:
        bundle.verify_rows()
    return bundle


def _again(path: Path, digest: str) -> Bundle:
    bundle = load(path, verify=False)
    if bundle.manifest["manifest_sha256"] != digest:
        raise manifest.damaged(path, "it is another bundle than the one that was loaded first")
    return bundle


def _check(block: Block, seen: Seen) -> None:
    """Raises `ValueError` or `InputError` when a writer would not have accepted the rows."""
    check_ids(block.ids)
    seen.added(block.ids)
    for row in block.metadata:
        _metadata(row)
    place = not_unit(block.vectors)
    if place is not None:
        raise ValueError(f"the vector of {block.ids[place]!r} is not of unit length")


def _metadata(text: str) -> dict[str, Any]:
    row = json.loads(text, parse_constant=_refused)
    if not isinstance(row, dict):
        raise ValueError(f"metadata must be an object, not {type(row).__name__}")
    return row


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Turn any exception into `bundle_damaged`: the libraries that read files raise all kinds."""
    try:
        yield
    except (BundleError, PackageMissing):
        raise
    except InputError as error:
        raise manifest.damaged(folder, error.detail.rstrip(".")) from error
    except Exception as error:
        raise manifest.damaged(folder, f"it cannot be read ({error})") from error
