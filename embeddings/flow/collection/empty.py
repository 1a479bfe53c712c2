"""`Empty`: the placeholder for a row that failed after `safe()`."""

from typing import Any


class Empty:
    """A row without a value, because a step failed.

    Attributes: `input`, the argument of the step; `exception`, with a note that names step and
    input; `step`, its description. Later steps skip it; `fill_empty`, `drop_empty` and `exceptions`
    of a collection handle it. Can be pickled when its input and its exception can.
    """

    __slots__ = ("exception", "input", "step")

    def __init__(self, input: Any, exception: Exception, step: str) -> None:
        self.input = input
        self.exception = exception
        self.step = step

    def __repr__(self) -> str:
        return f"<Empty: {told(self.exception)} in {self.step}, for {shown(self.input)}>"


def told(error: BaseException) -> str:
    """An exception in one line: its class and its message."""
    try:
        message = str(error)
    except Exception:  # a broken __str__ or __repr__ must not hide the original error
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def shown(value: Any) -> str:
    """A short description of a value."""
    if isinstance(value, bytes | bytearray | memoryview):
        name = getattr(value, "name", None)
        return f"{len(value)} bytes" + (f" ({name})" if isinstance(name, str) else "")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {shown(one)}" for key, one in value.items()) + "}"
    try:
        text = repr(value)
    except Exception:  # a broken __str__ or __repr__ must not hide the original error
        return type(value).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
