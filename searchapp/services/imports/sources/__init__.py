"""Sources of imports: one module for each kind."""

from __future__ import annotations

from importlib import import_module

from searchapp.models import ImportSource, SourceKind
from searchapp.services.imports.options import ImportOptions
from searchapp.services.imports.sources.base import InPlaceSource, Listed, Source, SourceError

__all__ = ["InPlaceSource", "Listed", "Source", "SourceError", "source_class", "source_of"]

# Imported at first use: some need libraries that the web process must not load.
_CLASSES = {
    SourceKind.ARCHIVE: ("archive", "ArchiveSource"),
    SourceKind.FOLDER: ("folder", "FolderSource"),
    SourceKind.MANIFEST: ("manifest", "ManifestSource"),
    SourceKind.BUCKET: ("bucket", "BucketSource"),
    SourceKind.COCO: ("coco", "CocoSource"),
    SourceKind.DATASET: ("dataset", "DatasetSource"),
}


def source_class(kind: str) -> type[Source]:
    """Return the class of a `SourceKind`. Raises `KeyError` for uploads."""
    module, name = _CLASSES[SourceKind(kind)]
    source_type: type[Source] = getattr(import_module(f"{__name__}.{module}"), name)
    return source_type


def source_of(source: ImportSource, options: ImportOptions) -> Source:
    """Return the object that lists and opens the files of `source`."""
    return source_class(source.kind)(source, options)
