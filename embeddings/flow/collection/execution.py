"""A chain of steps at work: rows out of the source, through segments and streams."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

from embeddings.flow.collection.segment import Segment
from embeddings.flow.collection.steps import RowStep, Step, StreamStep
from embeddings.flow.engines.local import LocalEngine
from embeddings.flow.sources.source import Source

ENGINES = ("local", "ray")


class Engine(Protocol):
    """What runs segments."""

    def kind(self, step: RowStep) -> object:
        """Steps beside each other run as one segment where this is the same for them."""

    def through(self, segment: Segment, rows: Iterator[Any]) -> Iterator[Any]:
        """What becomes of the rows, in order."""

    def close(self) -> None:
        """End what was started."""


@dataclass(frozen=True)
class Way:
    """How a collection is run: by which engine, and with how many workers (None: it decides)."""

    engine: str = "local"
    parallel: bool = False
    workers: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def start(self) -> Engine:
        """The engine; it starts threads and processes when it first needs them."""
        if self.engine == "local":
            return LocalEngine.of(self.parallel, self.workers)
        from embeddings.flow.engines.ray import RayEngine

        return RayEngine(self.workers, self.options)


def run(source: Source, steps: Sequence[Step], way: Way) -> Generator[Any, None, None]:
    """The rows at the end of the chain; all that was started ends with the iterator."""
    with ExitStack() as stack:
        engine = way.start()
        stack.callback(engine.close)
        rows = stack.enter_context(source.reading())
        for stage in stages(steps, engine):
            rows = (
                stage.apply(rows) if isinstance(stage, StreamStep) else engine.through(stage, rows)
            )
            # From the last to the first, so that none asks one that has ended.
            stack.callback(getattr(rows, "close", _nothing))
        yield from rows


def stages(steps: Sequence[Step], engine: Engine) -> Iterator[Segment | StreamStep]:
    """The steps, those that can run as one in segments."""

    def kind(step: Step) -> object:
        return ("rows", engine.kind(step)) if isinstance(step, RowStep) else ("stream", step.number)

    for _, group in groupby(steps, kind):
        together = list(group)
        first = together[0]
        if isinstance(first, StreamStep):
            yield first
        else:
            yield Segment([step for step in together if isinstance(step, RowStep)])


def _nothing() -> None:
    """Nothing to end."""
