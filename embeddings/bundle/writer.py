"""Writing and exporting of bundles: `BundleWriter` and `export`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from embeddings.atomic_write import Destination, written_folder
from embeddings.bundle import manifest
from embeddings.bundle.checks import Seen, check_ids, check_vectors, metadata_texts
from embeddings.bundle.formats import Writer, format_named, rows_at_once
from embeddings.bundle.provenance import models, provenance
from embeddings.bundle.rows import Rows
from embeddings.errors import BundleError, InputError, OutputError
from embeddings.version import __version__

if TYPE_CHECKING:
    from embeddings.bundle.provenance import AnyRecipe


class BundleWriter:
    """A context manager that writes a bundle; the complete folder appears at the end.

    `add` takes any number of rows, any number of times. Memory use is constant except for about 100
    bytes per id, to keep ids unique. An error or interrupt in the block leaves no files. Not
    thread-safe.

    Attributes: `path`; `count`, the number of rows written; `models`, the models as listed in the
    manifest.
    """

    def __init__(
        self,
        path: Destination,
        recipe: "AnyRecipe",
        *,
        format: str = "npy",
        runtime: str | None = None,
        precision: str | None = None,
        device: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """`recipe` is what makes the vectors: a `Recipe` or its name, an `ImagePipeline` (which
        knows its runtime), a `Pipeline` with one output, or the dictionary of a recipe. `format` is
        one of `FORMATS`; `runtime`, `precision` and `device` are recorded. With `overwrite` an
        existing bundle is replaced, but never another kind of folder.

        Raises `UnknownName` when the format or recipe name is unknown, and `InputError` or
        `RecipeError` when `recipe` has no recipe.
        """
        self.path = Path(path).absolute()
        self.count = 0
        self._format, self._format_name = format_named(format), format
        self._made_by = made_by = provenance(recipe)
        self.models: list[dict[str, Any]] = models(made_by.recipe)
        self._computed = {
            "runtime": runtime or made_by.runtime,
            "precision": precision or made_by.precision,
            "device": device or made_by.device,
        }
        self._dimension = made_by.dimension
        self._overwrite = overwrite
        self._seen = Seen()
        self._stack: ExitStack | None = None
        self._draft = self.path
        self._writer: Writer | None = None
        self._broken = False
        # Buffered rows, until there are enough for a block.
        self._ids: list[str] = []
        self._metadata: list[str] = []
        self._vectors = np.empty((0, 0), np.float32)

    def __enter__(self) -> Self:
        """Raises `OutputError` when the path exists already or cannot be written."""
        if self._stack is not None:
            raise InputError("A BundleWriter writes one bundle; make another for the next.")
        self._check_place()
        self._stack = ExitStack()
        self._draft = self._stack.enter_context(
            written_folder(self.path, overwrite=self._overwrite)
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stack is None:
            return
        with self._stack as stack:
            if error is None:
                self._finish()
                return
            self._abandon()
            # The error of the block is passed on unchanged: it may be about something else.
            with suppress(type(error), OutputError):
                stack.__exit__(kind, error, trace)

    def add(
        self,
        ids: Sequence[str],
        vectors: NDArray[np.float32],
        metadata: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Append N rows: ids, float32 (N, D) of unit length, and dictionaries of plain JSON.

        Raises `InputError`, naming the id, when a row is invalid or an id is a duplicate; none of
        the rows is written then. Raises `OutputError` when the disk is full.
        """
        if self._stack is None:
            raise InputError("Rows are added inside of 'with BundleWriter(...) as writer:'.")
        check_ids(ids)
        vectors = check_vectors(vectors, ids, self._dimension)
        if vectors.shape[1] > manifest.MAX_DIMENSION:
            raise InputError(f"Vectors have at most {manifest.MAX_DIMENSION:,} dimensions.")
        texts = metadata_texts(metadata, ids)
        self._seen.added(ids)
        self._dimension = vectors.shape[1]
        most = rows_at_once(vectors.shape[1])
        for start in range(0, len(ids), most):
            end = start + most
            self._append(list(ids[start:end]), texts[start:end], vectors[start:end])

    def _append(self, ids: list[str], texts: list[str], vectors: NDArray[np.float32]) -> None:
        """Buffer at most `rows_at_once` rows, and write a block when there are enough."""
        dimension = vectors.shape[1]
        most = rows_at_once(dimension)
        if not len(self._vectors):
            self._vectors = np.empty((2 * most, dimension), np.float32)
        start = len(self._ids)
        self._vectors[start : start + len(ids)] = vectors
        self._ids += ids
        self._metadata += texts
        if len(self._ids) >= most:
            self._flush(dimension)

    def _flush(self, dimension: int) -> Writer:
        """Write the first buffered rows, at most `rows_at_once`."""
        count = min(rows_at_once(dimension), len(self._ids))
        with self._told():
            if self._writer is None:
                self._writer = self._format.writer(self._draft, dimension)
            writer = self._writer
            if count:
                writer.write(self._ids[:count], self._metadata[:count], self._vectors[:count])
        rest = len(self._ids) - count
        self._vectors[:rest] = self._vectors[count : count + rest]
        del self._ids[:count], self._metadata[:count]
        self.count += count
        return writer

    def _finish(self) -> None:
        try:
            if self._broken:
                raise OutputError(f"{self.path} is not written: a part of it could not be.")
            if self._dimension is None:
                raise InputError(
                    "Nothing was added, and the recipe of a graph does not say how many "
                    "dimensions its vectors have: there is no bundle without rows of it."
                )
            writer = self._flush(self._dimension)
            with self._told():
                writer.close()
                manifest.write(self._draft, self._facts())
            self._check_place()
        except BaseException:
            self._abandon()
            raise

    def _facts(self) -> dict[str, Any]:
        return {
            "format": self._format_name,
            "fingerprint": self._made_by.fingerprint,
            "count": self.count,
            "dimension": self._dimension,
            "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "library": f"embeddings {__version__}",
            "computed": self._computed,
            "models": self.models,
            "recipe": self._made_by.recipe,
            "files": manifest.file_facts(self._draft, self._format.files),
        }

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:  # h5py raises either
            self._broken = True
            reason = getattr(error, "strerror", None) or str(error)
            raise OutputError(f"{self.path} cannot be written: {reason}.") from error
        except BaseException:
            self._broken = True
            raise

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()

    def _check_place(self) -> None:
        """Raises `OutputError` when the path exists and is not a bundle."""
        if not self._overwrite or not self.path.exists():
            return
        try:
            names = {manifest.NAME, *manifest.read(self.path)["files"]}
            others = sorted(set(os.listdir(self.path)) - names)
        except (BundleError, OSError) as error:
            raise OutputError(
                f"{self.path} is there and no bundle; only a bundle is overwritten ({error})"
            ) from error
        if others:
            raise OutputError(
                f"{self.path} holds more than a bundle ({others[0]!r}); only a bundle is "
                "overwritten: choose another name."
            )


def export(
    bundle: Rows, path: Destination, *, format: str = "npy", overwrite: bool = False
) -> None:
    """Write the rows of a bundle as a new bundle in any format; memory use is constant.

    Recipe and models are copied from the manifest: the model itself is not needed. Raises
    `UnknownName` for an unknown format, `OutputError` when the folder cannot be written, and
    `BundleError` when the bundle is damaged.
    """
    data = bundle.manifest
    with BundleWriter(
        path, data["recipe"], format=format, **data["computed"], overwrite=overwrite
    ) as writer:
        writer.models = data["models"]
        for batch in bundle.batches():
            writer.add(batch.ids, batch.vectors, batch.metadata)
