"""`Empty`: what stands in the place of a row that failed, behind `safe()`."""

from typing import Any


class Empty:
    """A row without a value, because a step failed for it.

    Attributes: `input`, the row that the step was given; `exception`, what it raised, with a
    note that names step and input; `step`, the step in words. Later steps leave it as it is;
    `fill_empty`, `drop_empty` and `exceptions` of a collection deal with it. Can be pickled
    where its input and its exception can.
    """

    __slots__ = ("exception", "input", "step")

    def __init__(self, input: Any, exception: Exception, step: str) -> None:
        self.input = input
        self.exception = exception
        self.step = step

    def __repr__(self) -> str:
        return f"<Empty: {told(self.exception)} in {self.step}, for {shown(self.input)}>"


def told(error: BaseException) -> str:
    """An exception in a line: its class and what it says."""
    try:
        said = str(error)
    except Exception:  # a message about one error must not end in another
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, bytes | bytearray | memoryview):
        name = getattr(value, "name", None)
        return f"{len(value)} bytes" + (f" ({name})" if isinstance(name, str) else "")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {shown(one)}" for key, one in value.items()) + "}"
    try:
        text = repr(value)
    except Exception:  # a message about one error must not end in another
        return type(value).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
