"""Stream steps: head, batch, window, sample, shuffle, group, zip, concat, progress.

All run lazily in the caller's thread. `Empty` rows are not part of a batch, window or group: they
are passed on ahead of the one being collected.
"""

import contextlib
import itertools
import random
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from embeddings.flow.collection.empty import Empty
from embeddings.flow.sources.source import Source

Rows = Iterator[Any]


def headed(rows: Rows, count: int) -> Rows:
    """The first `count` rows; the next one is not read."""
    return itertools.islice(rows, count)


def batched(rows: Rows, size: int, drop_tail: bool) -> Rows:
    """Lists of `size` rows; the last may be shorter, or is dropped."""
    batch: list[Any] = []
    for row in rows:
        if type(row) is Empty:
            yield row
            continue
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch and not drop_tail:
        yield batch


def windows(rows: Rows, size: int, step: int) -> Rows:
    """Lists of `size` rows, one every `step` rows; the last ones may be shorter."""
    window: deque[Any] = deque()
    skip = 0
    for row in rows:
        if type(row) is Empty:
            yield row
        elif skip:
            skip -= 1
        else:
            window.append(row)
            if len(window) == size:
                yield list(window)
                skip = max(0, step - size)
                for _ in range(min(step, size)):
                    window.popleft()
    while window:
        yield list(window)
        for _ in range(min(step, len(window))):
            window.popleft()


def reservoir(rows: Rows, count: int, seed: int | None) -> Rows:
    """`count` rows, drawn uniformly, in the original order; reads all rows first."""
    chosen = random.Random(seed)  # noqa: S311 - a sample, not a secret
    sample: list[tuple[int, Any]] = []
    for at, row in enumerate(rows):
        if len(sample) < count:
            sample.append((at, row))
        elif (place := chosen.randrange(at + 1)) < count:
            sample[place] = at, row
    sample.sort(key=lambda pair: pair[0])
    for _, row in sample:
        yield row


def thinned(rows: Rows, ratio: float, seed: int | None) -> Rows:
    """Each row with probability `ratio`."""
    chosen = random.Random(seed)  # noqa: S311
    return (row for row in rows if chosen.random() < ratio)


def shuffled(rows: Rows, seed: int | None, buffer: int) -> Rows:
    """Rows in random order, drawn from a buffer that is refilled row by row."""
    chosen = random.Random(seed)  # noqa: S311
    pool: list[Any] = []
    for row in rows:
        if len(pool) < buffer:
            pool.append(row)
            continue
        place = chosen.randrange(buffer)
        out, pool[place] = pool[place], row
        yield out
    chosen.shuffle(pool)
    pool.reverse()
    while pool:
        yield pool.pop()


def grouped(pairs: Rows) -> Rows:
    """(key, list of rows) for pairs (key, row), in order of first appearance."""
    groups: dict[Any, list[Any]] = {}
    for pair in pairs:
        if type(pair) is Empty:
            yield pair
        else:
            groups.setdefault(pair[0], []).append(pair[1])
    yield from groups.items()


def zipped(rows: Rows, others: Sequence[Source]) -> Rows:
    """Tuples of a row of each; ends with the shortest. An `Empty` replaces its tuple."""
    with contextlib.ExitStack() as stack:
        iterators = [stack.enter_context(other.reading()) for other in others]
        for row in zip(rows, *iterators, strict=False):
            yield next((one for one in row if type(one) is Empty), row)


def joined(rows: Rows, others: Sequence[Source]) -> Rows:
    """The rows, followed by those of the others."""
    yield from rows
    for other in others:
        with other.reading() as others_rows:
            yield from others_rows


def watched(rows: Rows, label: str | None, total: int | None) -> Rows:
    """The rows, counted by a progress bar on stderr (in a notebook a widget)."""
    from tqdm.auto import tqdm

    with tqdm(desc=label, total=total, unit=" rows") as bar:
        for row in rows:
            yield row
            bar.update()
