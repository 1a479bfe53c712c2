"""Output of commands: JSON Lines on stdout, progress and messages on stderr."""

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
    """Print one line of JSON; ASCII only, for any terminal and file name."""
    print(json.dumps(values), flush=sys.stdout.isatty())


def say(sentence: str) -> None:
    """Print a message to stderr; errors of a closed stderr are ignored."""
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr)


@contextlib.contextmanager
def patience(quiet: bool) -> Iterator[None]:
    """If the block takes long, print that this happens only once."""
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
    """Yield the items, with a progress bar when stderr is a terminal."""
    from tqdm.auto import tqdm

    hidden = quiet or not sys.stderr.isatty()
    yield from tqdm(items, total=total, unit=unit, disable=hidden, leave=False, smoothing=0.1)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 picture, 2,000 pictures."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
