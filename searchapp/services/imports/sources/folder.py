"""Import from a folder of the server, inside `LOOKALIKE_IMPORT_ROOTS`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from searchapp.infra import import_roots
from searchapp.models import ImportItem
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.imports.image_fields import LABEL_LENGTH
from searchapp.services.imports.sources.base import Listed, Source, SourceError
from searchapp.services.imports.sources.files import is_hidden, shown

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_MAX_DEPTH = 64  # nested folders


class FolderSource(Source):
    """All files below the folder, sorted; in an ImageFolder layout, folder names become labels."""

    threads = 4

    @classmethod
    def check(cls, location: str, user: User | None) -> str:
        path = import_roots.inside(location)
        if not path.is_dir():
            raise Invalid("not_a_folder", "This is a file; the path of a folder is needed.")
        return str(path)

    def list(self, cursor: str) -> Iterator[Listed]:
        try:
            folder = import_roots.inside(self.source.location)
        except ServiceError as error:
            raise SourceError(error.code, error.detail, retryable=True) from None
        yield from self._walk(folder, (), tuple(json.loads(cursor)) if cursor else ())

    def _walk(
        self, folder: Path, parts: tuple[str, ...], after: tuple[str, ...]
    ) -> Iterator[Listed]:
        """Walk through `folder` in the order of names, behind the path `after` as far as it lies in
        this folder."""
        try:
            with os.scandir(folder) as entries:
                children = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            text = f"The server cannot read this folder: {error.strerror}."
            yield self._refused(parts, "unreadable", text)
            return
        for entry in children:
            inner: tuple[str, ...] = ()
            if after and entry.name <= after[0]:
                inner = after[1:]
                if entry.name < after[0] or not inner:
                    continue
            here = (*parts, entry.name)
            if is_hidden(entry.name):
                continue
            if not entry.is_dir(follow_symlinks=False):
                yield self._file(entry, here)
            elif len(here) > _MAX_DEPTH:
                yield self._refused(here, "too_deep", f"More than {_MAX_DEPTH} folders deep.")
            else:
                yield from self._walk(Path(entry.path), here, inner)

    def _file(self, entry: os.DirEntry[str], parts: tuple[str, ...]) -> Listed:
        name = "/".join(parts)
        if not name.isprintable() and shown(name) != name:
            return self._refused(parts, "name_not_text", "The file's name is not text in UTF-8.")
        if entry.is_symlink():
            try:
                leads_to = import_roots.inside(entry.path)
            except ServiceError:
                text = "This is a link that leads out of the folders that may be imported from."
                return self._refused(parts, "link_refused", text)
            if leads_to.is_dir():
                text = "This is a link to a folder; links are followed to files only."
                return self._refused(parts, "link_refused", text)
        elif not entry.is_file(follow_symlinks=False):
            return self._refused(parts, "not_a_file", "This is no plain file.")
        fields = {}
        if self.options.label_from_folder and len(parts) > 1:
            fields["label"] = parts[-2][:LABEL_LENGTH]
        return Listed(shown(name), {"path": name}, fields, cursor=json.dumps(parts))

    def _refused(self, parts: tuple[str, ...], code: str, sentence: str) -> Listed:
        name = shown("/".join(parts)) or "."
        return Listed(name, refusal=(code, sentence), cursor=json.dumps(parts))

    def _path(self, item: ImportItem) -> Path:
        return Path(self.source.location, str((item.locator or {})["path"]))

    def open(self, item: ImportItem) -> AbstractContextManager[BinaryIO]:
        return import_roots.open_inside(self._path(item))

    def reference(self, item: ImportItem) -> str:
        return f"file:{import_roots.inside(self._path(item))}"
