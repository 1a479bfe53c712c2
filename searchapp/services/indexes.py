"""The indexes of datasets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from searchapp.models import LIVE_INDEXES, Index, IndexState


def live(datasets: Iterable[int]) -> dict[int, list[Index]]:
    """Return, by dataset, the indexes that new images go into, the active one first."""
    found: dict[int, list[Index]] = {}
    rows = Index.objects.filter(dataset__in=list(datasets), state__in=LIVE_INDEXES)
    for index in sorted(rows, key=lambda index: (index.state != IndexState.ACTIVE, index.pk)):
        found.setdefault(index.dataset_id, []).append(index)
    return found


def note_runtimes(runtimes: Mapping[int, tuple[str, str]]) -> None:
    """Record, by index, the runtime and precision that computed its first vectors."""
    for pk, (runtime, precision) in runtimes.items():
        Index.objects.filter(pk=pk, runtime="").update(runtime=runtime, precision=precision)
