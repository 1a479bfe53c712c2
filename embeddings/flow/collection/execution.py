"""Execution of a chain of steps: the source, row-wise segments and stream steps."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

from embeddings.flow.collection.fused_steps import Segment
from embeddings.flow.collection.steps import RowStep, Step, StreamStep
from embeddings.flow.engines.local import LocalEngine
from embeddings.flow.sources.source import Source

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Interface of engines, which run segments."""

    def kind(self, step: RowStep) -> object:
        """Adjacent steps with equal kinds are run as one segment."""

    def through(self, segment: Segment, rows: Iterator[Any]) -> Iterator[Any]:
        """The results of the rows, in order."""

    def close(self) -> None:
        """Stop the threads or processes that were started."""


@dataclass(frozen=True)
class Way:
    """How a collection is run: by which engine, with how many workers (None: its default)."""

    engine: str = "local"
    parallel: bool = False
    workers: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def start(self) -> Engine:
        """Create the engine, which starts threads or processes on first use."""
        if self.engine == "local":
            return LocalEngine.of(self.parallel, self.workers)
        from embeddings.flow.engines.ray import RayEngine

        return RayEngine(self.workers, self.options)


def run(source: Source, steps: Sequence[Step], way: Way) -> Generator[Any, None, None]:
    """The rows at the end of the chain. Closing the iterator stops everything it started."""
    with ExitStack() as stack:
        engine = way.start()
        stack.callback(engine.close)
        rows = stack.enter_context(source.reading())
        for stage in stages(steps, engine):
            rows = (
                stage.apply(rows) if isinstance(stage, StreamStep) else engine.through(stage, rows)
            )
            # Closed from the last to the first: none reads from a closed one.
            stack.callback(getattr(rows, "close", _nothing))
        yield from rows


def stages(steps: Sequence[Step], engine: Engine) -> Iterator[Segment | StreamStep]:
    """The steps, with adjacent row-wise steps combined into segments."""

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
    """Close an iterator that has no `close`."""
