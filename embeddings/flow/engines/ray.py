"""The "ray" engine: processes of a Ray cluster, or of one that is started here.

Each process (an actor) holds all segments of the chain and loads their models once. Rows are sent
in pickled chunks; the data of steps, such as the array of a search, is put into the object store of
the cluster once.
"""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import ray

from embeddings import thread_count as process
from embeddings.errors import InputError, WorkerError
from embeddings.flow.collection.empty import shown
from embeddings.flow.collection.fused_steps import Segment
from embeddings.flow.collection.steps import Failure, RowStep
from embeddings.flow.engines.local import in_caller
from embeddings.flow.engines.ordered_chunks import Done, Sizes, Task, in_order
from embeddings.flow.engines.ray_cluster import connection, cores
from embeddings.flow.engines.ray_worker import Worker, dumps, unpacked, why_not_sent

OPTIONS = (
    "address", "workers", "worker_cpus", "worker_gpus", "num_cpus", "object_store_memory",
    "runtime_env",
)  # fmt: skip
"""What `set_engine("ray", ...)` takes.

`address` of a cluster ("ray://host:10001", "auto"); `workers`, how many processes (one for each
core of the cluster), each with `worker_cpus` (1) and `worker_gpus` (0) of it; `runtime_env` as
Ray takes it. `num_cpus` and `object_store_memory` (bytes) are for a cluster that is started here.
"""

_AHEAD = 3
_QUICK = 0.02
_MAX_CHUNK = 1024
# Seconds to wait for the first process: a busy cluster may have no free core.
_START = 120.0


class RayEngine:
    """Runs segments in processes; `close` stops them, and a cluster that was started here."""

    def __init__(self, workers: int | None, options: Mapping[str, Any]) -> None:
        self._workers = workers
        self._options = options
        self._segments: list[Segment] = []
        self._pool: _Pool | None = None

    def kind(self, step: RowStep) -> object:
        """Adjacent steps with equal kinds are run as one segment."""
        return step.here, step.safe

    def through(self, segment: Segment, rows: Iterator[Any]) -> Iterator[Any]:
        """The results of the rows, in order.

        Raises the first failure, and `WorkerError` when a process fails.
        """
        if segment.here:
            return in_caller(segment, rows)
        self._segments.append(segment)
        return self._in_processes(len(self._segments) - 1, rows)

    def close(self) -> None:
        """Kill the processes, even while they work."""
        if self._pool is not None:
            self._pool.close()

    def _in_processes(self, number: int, rows: Iterator[Any]) -> Iterator[Any]:
        for one in self._segments if self._pool is None else ():
            one.make_ready()
        if self._pool is None:
            self._pool = _Pool(self._segments, self._workers, self._options)
        segment = self._segments[number]
        sizes = Sizes(segment.chunk()) if segment.has_batches else Sizes(_MAX_CHUNK, _QUICK)
        submit = partial(self._pool.submit, number)
        yield from in_order(rows, submit, sizes, self._pool.size * _AHEAD)


class _Pool:
    """Actors that all hold the same segments."""

    def __init__(
        self, segments: list[Segment], workers: int | None, options: Mapping[str, Any]
    ) -> None:
        self.segments = segments
        data, buffers = _segments_packed(segments)
        self._cluster = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            stack.enter_context(connection(options))
            self.size = workers or max(1, int(cores("cluster_resources")))
            self._held = ray.put((data, buffers))
            cpus = options.get("worker_cpus", 1)
            # Without free cores, the processes share those of the cluster.
            free = cores("available_resources")
            self._make = ray.remote(Worker).options(
                num_cpus=cpus if free >= cpus * self.size else 0,
                num_gpus=options.get("worker_gpus", 0),
                scheduling_strategy="SPREAD",
            )
            self._threads = max(1, process.cores() // self.size)
            self._actors = [_Actor(self._make, self._threads) for _ in range(self.size)]
            stack.callback(self._kill)
            self._cluster = stack.pop_all()

    def submit(self, number: int, rows: list[Any]) -> Task:
        """Send rows to the least busy process."""
        try:
            data = dumps(rows)
        except Exception as error:
            if len(rows) == 1:
                step = self.segments[number].steps[0]
                refused = InputError(
                    f"A row cannot go to another process ({type(error).__name__}: {error})."
                )
                return _Settled(step.failed(rows[0], rows[0], refused))
            return _Several([self.submit(number, [row]) for row in rows])
        actor = self._least_busy()
        return _Sent(self, actor, actor.send(self._held, number, data), number, rows)

    def alone(self, number: int, row: Any) -> list[Any]:
        """The results of one row, after a process died with its chunk.

        If the row kills a process again, the result is that failure.
        """
        segment = self.segments[number]
        with contextlib.suppress(ray.exceptions.RayError):
            return self._asked(number, [row], None).outcomes
        rows = [row]
        for only, step in enumerate(segment.steps):
            try:
                rows = self._asked(number, rows, only).outcomes
            except ray.exceptions.RayError as error:
                return [step.failed(row, row, _died(step.name, row, error))]
            if rows and isinstance(rows[-1], Failure):
                break
        return rows

    def _asked(self, number: int, rows: list[Any], only: int | None) -> Done:
        """The results of rows from a live process."""
        actor = self._least_busy()
        while actor.is_dead():  # retry with its replacement
            actor = self._least_busy()
        return actor.answer(self._held, number, dumps(rows), only, self.segments[number].label)

    def close(self) -> None:
        self._cluster.close()

    def _kill(self) -> None:
        for actor in self._actors:
            actor.kill()

    def _least_busy(self) -> "_Actor":
        """The least busy process; waits for the first to start. Dead ones are replaced."""
        self._actors = [
            _Actor(self._make, self._threads) if actor.dead else actor for actor in self._actors
        ]
        started, _ = ray.wait(
            [actor.ready for actor in self._actors], num_returns=1, timeout=_START
        )
        if not started:
            raise WorkerError(
                f"No process of Ray was there after {_START:.0f} seconds. The cluster has "
                f"{cores('cluster_resources'):g} cores, of which "
                f"{cores('available_resources'):g} are free, and "
                f"{cores('cluster_resources', 'GPU'):g} graphics cards: ask for fewer workers, "
                "or for less of each."
            )
        return min((one for one in self._actors if one.is_there()), key=_Actor.load)


class _Actor:
    """One process and its chunks in flight. `dead` once it is known to have died."""

    def __init__(self, make: Any, threads: int) -> None:
        self._handle = make.remote(threads)
        self.ready = self._handle.ready.remote()
        self._sent: list[Any] = []
        self._was_there = False
        self.dead = False

    def send(self, reference: Any, number: int, rows: bytes, only: int | None = None) -> Any:
        """Send it a chunk; return the reference of the results."""
        sent = self._handle.run.remote([reference], number, rows, only)
        self._sent.append(sent)
        return sent

    def load(self) -> int:
        """The number of its unfinished chunks."""
        if self._sent:
            _, self._sent = ray.wait(
                self._sent, num_returns=len(self._sent), timeout=0, fetch_local=False
            )
        return len(self._sent)

    def answer(
        self, reference: Any, number: int, rows: bytes, only: int | None, label: str
    ) -> Done:
        """The results of a chunk. Raises `RayError` when the process dies."""
        return unpacked(ray.get(self.send(reference, number, rows, only)), label)

    def is_there(self) -> bool:
        """Whether it has started. Raises `WorkerError` when it could not."""
        if not self._was_there and ray.wait([self.ready], timeout=0)[0]:
            try:
                ray.get(self.ready)
            except ray.exceptions.RayError as error:
                raise WorkerError(f"A process of Ray cannot start: {error}") from error
            self._was_there = True
        return self._was_there

    def is_dead(self) -> bool:
        """Whether it is dead; waits for its calls in flight."""
        try:
            ray.get(self._handle.ready.remote())
        except ray.exceptions.RayError:
            self.dead = True
        return self.dead

    def kill(self) -> None:
        with contextlib.suppress(Exception):  # it may be gone already
            ray.kill(self._handle)


class _Sent:
    """A chunk in flight."""

    def __init__(
        self, pool: _Pool, actor: _Actor, reference: Any, number: int, rows: list[Any]
    ) -> None:
        self._pool = pool
        self._actor = actor
        self._reference = reference
        self._number = number
        self._rows = rows

    def done(self) -> bool:
        return bool(ray.wait([self._reference], timeout=0)[0])

    def result(self) -> Done:
        """The results; when the process has died, each row is retried alone."""
        label = self._pool.segments[self._number].label
        try:
            data = ray.get(self._reference)
        except ray.exceptions.RayTaskError as error:
            raise WorkerError(f"A worker process failed in {label}: {error}") from error
        except ray.exceptions.RayError:
            self._actor.dead = True
            outcomes: list[Any] = []
            for row in self._rows:
                outcomes += self._pool.alone(self._number, row)
                if outcomes and isinstance(outcomes[-1], Failure):
                    break
            return Done(outcomes, 0.0)
        return unpacked(data, label)

    def cancel(self) -> None:
        """Does nothing: the engine kills the processes when it closes."""


class _Settled:
    """A result that needs no process."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    def done(self) -> bool:
        return True

    def result(self) -> Done:
        return Done([self._outcome], 0.0)

    def cancel(self) -> None:
        """Does nothing: it is finished."""


class _Several:
    """The parts of a split chunk."""

    def __init__(self, parts: list[Task]) -> None:
        self._parts = parts

    def done(self) -> bool:
        return all(part.done() for part in self._parts)

    def result(self) -> Done:
        outcomes: list[Any] = []
        seconds = 0.0
        for part in self._parts:
            done = part.result()
            outcomes += done.outcomes
            seconds += done.seconds
            if outcomes and isinstance(outcomes[-1], Failure):
                break
        return Done(outcomes, seconds)

    def cancel(self) -> None:
        for part in self._parts:
            part.cancel()


def _segments_packed(segments: list[Segment]) -> tuple[bytes, list[Any]]:
    """The segments pickled, with their arrays out of band.

    Raises `InputError`, naming the step, when one cannot be pickled.
    """
    buffers: list[Any] = []
    try:
        data = dumps(segments, buffers)
    except Exception as error:
        for segment in segments:
            for step in segment.steps:
                reason = why_not_sent(step.node)
                if reason is not None:
                    raise InputError(
                        f"The node of {step.name} cannot go to another process ({reason}); the "
                        "engine 'local' takes any."
                    ) from error
        raise
    return data, [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]


def _died(step: str, row: Any, error: Exception) -> WorkerError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return WorkerError(
        f"The worker process died in {step}, for {shown(row)}: {lines[0]} A function may have "
        "ended it, or memory was short."
    )
