"""What commands print: lines of JSON on stdout, progress and sentences on stderr."""

import contextlib
import json
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from embeddings.errors import EmbeddingsError

T = TypeVar("T")

SOME_FAILED = 3
_PATIENCE = 3.0  # seconds


def line(**values: Any) -> None:
    """Print one line of JSON, ASCII only, so that any terminal and any file name will do."""
    print(json.dumps(values), flush=sys.stdout.isatty())


def say(sentence: str) -> None:
    """Print a sentence for people, where there is a place for it."""
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr)


@contextlib.contextmanager
def patience(quiet: bool) -> Iterator[None]:
    """Say that what takes long in the block is done once."""
    sentence = "Preparing the model: once on each machine, for about a minute …"
    timer = threading.Timer(_PATIENCE, say, (sentence,))
    if not quiet:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def problem(error: BaseException) -> dict[str, str]:
    """An exception as JSON: a stable code and a sentence."""
    if isinstance(error, EmbeddingsError):
        return {"code": error.code, "detail": error.detail}
    if isinstance(error, OSError):
        return {"code": "unreadable_file", "detail": error.strerror or str(error)}
    return {"code": "internal_error", "detail": f"{type(error).__name__}: {error}"}


def progress(items: Iterable[T], total: int | None, unit: str, quiet: bool) -> Iterator[T]:
    """The items, with a bar on stderr while somebody watches."""
    from tqdm.auto import tqdm

    hidden = quiet or not sys.stderr.isatty()
    yield from tqdm(items, total=total, unit=unit, disable=hidden, leave=False, smoothing=0.1)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 picture, 2,000 pictures."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
