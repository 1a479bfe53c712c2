"""Ray actor that runs segments, and the serialization of rows and errors."""

import pickle
import time
import traceback
from collections.abc import Sequence
from typing import Any

from embeddings import thread_count
from embeddings.errors import EmbeddingsError, InputError, WorkerError
from embeddings.flow.collection.empty import Empty, shown
from embeddings.flow.collection.fused_steps import Segment
from embeddings.flow.collection.steps import Failure
from embeddings.flow.engines.ordered_chunks import Done


class RemoteTraceback(Exception):
    """The traceback of another process, as the cause of an error raised there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


class Worker:
    """An actor: holds the segments, with their models, and runs chunks of rows."""

    def __init__(self, threads: int) -> None:
        """`threads` is the number of threads for a model in this process."""
        thread_count.set_threads(threads)
        self._segments: list[Segment] | None = None

    def ready(self) -> None:
        """Returns when the process has started."""

    def run(self, references: list[Any], number: int, rows: bytes, only: int | None) -> bytes:
        """The results of pickled rows in a segment, or in one step of it (`only`).

        `references` holds the reference of the segments: a list, so that Ray does not fetch them.
        """
        started = time.perf_counter()
        try:
            segment = self._loaded(references[0])[number]
            values = pickle.loads(rows)  # noqa: S301 - by the process that started this one
        except Exception as error:
            return packed([Failure(_not_read(error), traceback.format_exc())], started)
        if only is not None:
            segment = Segment([segment.steps[only]])
        outcomes = segment.traced(values)
        last = segment.steps[-1]
        sent: list[Any] = []
        for value, origin in outcomes:
            value = _travelling(value)
            if not isinstance(value, Failure):
                reason = why_not_sent(value)
                if reason is not None:
                    refused = InputError(
                        f"What {last.name} gives cannot go to another process ({reason}): "
                        f"{shown(value)}."
                    )
                    value = last.failed(origin, origin, refused)
            sent.append(value)
            if isinstance(value, Failure):
                break
        return packed(sent, started)

    def _loaded(self, reference: Any) -> list[Segment]:
        if self._segments is None:
            import ray

            data, buffers = ray.get(reference)
            # Not copied: arrays stay in memory shared by the processes of a machine.
            self._segments = pickle.loads(data, buffers=buffers)  # noqa: S301
        return self._segments


def packed(outcomes: Sequence[Any], started: float) -> bytes:
    """Results pickled for transport, with the time that they took."""
    return dumps(Done(list(outcomes), time.perf_counter() - started))


def unpacked(data: bytes, label: str) -> Done:
    """The results pickled by `packed`; errors have their original traceback as the cause.

    Raises `WorkerError` when they cannot be unpickled here.
    """
    try:
        done: Done = pickle.loads(data)  # noqa: S301 - by a process that this one started
    except Exception as error:
        raise WorkerError(
            f"What came of {label} cannot be read back ({type(error).__name__}: {error})."
        ) from error
    for outcome in done.outcomes:
        if isinstance(outcome, Failure) and outcome.trace:
            outcome.error.__cause__ = RemoteTraceback(outcome.trace)
    return done


def dumps(value: Any, buffers: list[pickle.PickleBuffer] | None = None) -> bytes:
    """Pickle a value, including functions and classes that are not in an importable module.

    Arrays are put into `buffers`, uncopied, if that is given.
    """
    from ray import cloudpickle

    pickler: Any = cloudpickle
    data: bytes = pickler.dumps(
        value, protocol=5, buffer_callback=None if buffers is None else buffers.append
    )
    return data


def why_not_sent(value: Any) -> str | None:
    """Why a value cannot be pickled; None when it can."""
    try:
        dumps(value, [])
    except Exception as error:  # any class may raise anything
        return f"{type(error).__name__}: {error}"
    return None


def _travelling(outcome: Any) -> Any:
    """A failure with an error that can be pickled; other values unchanged."""
    if isinstance(outcome, Failure):
        error = outcome.error
        trace = "".join(traceback.format_exception(error)).rstrip()
        return Failure(_sendable(error), trace)
    if isinstance(outcome, Empty):
        row = outcome.input if why_not_sent(outcome.input) is None else shown(outcome.input)
        return Empty(row, _sendable(outcome.exception), outcome.step)
    return outcome


def _sendable(error: Exception) -> Exception:
    """The error when it survives pickling with its notes; else a description of it."""
    notes = getattr(error, "__notes__", [])
    try:
        again = pickle.loads(dumps(error))  # noqa: S301 - what this process has just made
        if type(again) is type(error) and getattr(again, "__notes__", []) == notes:
            return error
    except Exception:  # any class may raise anything; handled below
        again = None
    plain = WorkerError(
        f"{type(error).__module__}.{type(error).__qualname__}: {error} (the error itself cannot "
        "go to another process)."
    )
    for note in notes:
        plain.add_note(note)
    return plain


def _not_read(error: Exception) -> Exception:
    if isinstance(error, EmbeddingsError):
        return error
    return WorkerError(
        f"The steps or rows cannot be read in a worker process ({type(error).__name__}: {error}); "
        "what they import must be installed there."
    )
