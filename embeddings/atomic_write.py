"""Files and folders that are written whole or not at all.

What is written goes beside its place first, reaches the disk, and takes the place by one
rename. An error or an interrupt on the way removes it and leaves what was there before; after
a kill or a power failure a hidden draft may be left, never half of a result.
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
    """The path of a draft, which becomes `destination` (and replaces it) when the block ends.

    The caller makes the file and closes it. The draft's name ends like the destination's, for
    programs that look at endings. Raises `OutputError` where it cannot be written: no such
    folder, no permission, disk full; a folder, device or pipe of that name.
    """
    target = Path(os.path.realpath(destination))  # a link stays, and leads to the new file
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
    """An empty folder, which becomes `destination` when the block ends.

    Raises `OutputError` where the destination is there and `overwrite` is false, and where it
    cannot be written. With `overwrite` the old folder makes way at the very end.
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
    """Say which result could not be written, and why, in place of a bare OSError.

    An error that names another file, such as an input that cannot be read, goes on as it is.
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
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
