"""Atomic writes of files and folders: a result appears complete or not at all.

A result is written to a hidden draft beside its destination, flushed to disk and renamed into
place. On an error or interrupt the draft is removed and the previous content stays. A kill or a
power failure may leave a hidden draft behind, but never a partial result.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from embeddings.errors import OutputError

Destination = str | os.PathLike[str]


@contextlib.contextmanager
def written_file(destination: Destination) -> Iterator[Path]:
    """Yield the path of a draft that replaces `destination` when the block ends.

    The caller creates the file and closes it. The draft has the suffix of the destination, for
    programs that look at suffixes. Raises `OutputError` when it cannot be written: no such
    folder, no permission, disk full, or a folder, device or pipe of that name.
    """
    target = Path(os.path.realpath(destination))  # a symlink stays and points to the new file
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "no regular file"
        raise OutputError(f"{target} is {kind}; give the name of a file.")
    draft = _draft(target)
    with _told(target, draft):
        try:
            yield draft
            _to_disk(draft)
            os.replace(draft, target)
            _to_disk(target.parent)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


@contextlib.contextmanager
def written_folder(destination: Destination, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `destination` when the block ends.

    Raises `OutputError` when the destination exists and `overwrite` is false, and when it
    cannot be written. With `overwrite`, the old folder is replaced at the very end.
    """
    target = Path(destination).absolute()
    draft = _draft(target)
    with _told(target, draft):
        _refuse_existing(target, overwrite)
        draft.mkdir()
        try:
            yield draft
            for path in sorted(draft.rglob("*")):
                _to_disk(path)
            _to_disk(draft)
            _refuse_existing(target, overwrite)
            old = _draft(target)
            if target.exists():
                os.rename(target, old)
            try:
                os.rename(draft, target)
            except BaseException:
                if old.exists():
                    os.rename(old, target)
                raise
            _to_disk(target.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _draft(target: Path) -> Path:
    if not target.name:
        raise OutputError(f"{target} is no name for a result.")
    return target.with_name(f".{secrets.token_hex(4)}-{target.name}")


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(f"{target} is there already and is no folder; choose another name.")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} is there already; choose another name, or overwrite it.")


@contextlib.contextmanager
def _told(target: Path, draft: Path) -> Iterator[None]:
    """Turn an OSError about the draft or target into an `OutputError` that names the target.

    Errors about other files, such as an unreadable input, pass through unchanged.
    """
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else Path(os.fsdecode(error.filename)).absolute()
        if (
            named is not None
            and named != target.parent
            and not {target, draft} & {named, *named.parents}
        ):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"{target} cannot be written: {reason}.") from error


def _to_disk(path: Path) -> None:
    """Flush a file, or a folder's entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
