"""Health of the workers and lengths of their queues, for pages and administration."""

from __future__ import annotations

from dataclasses import dataclass

from searchapp.infra import queue
from searchapp.models import ImportItem, ImportJob, ItemState
from searchapp.models.partial_indexes import JOB_ACTIVE
from searchapp.services.ingest import feature_claims

POOLS = (queue.QUERY, queue.INGEST)
# What waits is counted so far and no further: beyond it, the page says 'more than'.
MAX_COUNTED = 10_000


@dataclass(frozen=True)
class Worker:
    name: str
    seconds: float  # since its last sign of life


@dataclass(frozen=True)
class Pool:
    """The workers of one queue; `tasks` wait for them."""

    name: str
    workers: tuple[Worker, ...]
    tasks: int

    @property
    def is_alive(self) -> bool:
        return bool(self.workers)


@dataclass(frozen=True)
class Snapshot:
    """The state of work at one moment."""

    redis: bool  # where it is down, nothing is known of pools and rates
    pools: tuple[Pool, ...]
    maintenance: int  # tasks
    images: int  # that wait for a worker or are with one, `MAX_COUNTED` at most
    files: int  # of imports, whose bytes are not here yet, `MAX_COUNTED` at most
    featureless: int  # ready images whose local features are still to be made, as counted
    ready: tuple[int, ...]  # pictures made searchable by the minute, this one first

    @property
    def rate(self) -> float:
        """Pictures a second, over the last whole minutes in which there were any."""
        whole = self.ready[1:4]
        return sum(whole) / (60 * len(whole)) if whole else 0.0

    @property
    def is_well(self) -> bool:
        return self.redis and all(pool.is_alive for pool in self.pools)


def snapshot() -> Snapshot:
    """Look at Redis and the database. A Redis that is down is told, never raised."""
    active = list(ImportJob.objects.filter(JOB_ACTIVE).values_list("pk", flat=True))
    # By the rows of imports, which have an index that every database uses, not by the images.
    images = ImportItem.objects.filter(
        job__in=active, state__in=(ItemState.RECEIVED, ItemState.PROCESSING)
    )
    files = ImportItem.objects.filter(job__in=active, state=ItemState.WAITING)
    waiting = {
        "images": images.order_by().values("pk")[:MAX_COUNTED].count(),
        "files": files.order_by().values("pk")[:MAX_COUNTED].count(),
        "featureless": feature_claims.left(),
    }
    try:
        life = queue.life()
    except queue.QueueUnavailable:
        return Snapshot(redis=False, pools=(), maintenance=0, ready=(), **waiting)
    return Snapshot(
        redis=True,
        pools=tuple(
            Pool(
                name=name,
                workers=tuple(
                    Worker(worker, seconds)
                    for worker, seconds in sorted(life.workers.get(name, {}).items())
                ),
                tasks=life.queues[name],
            )
            for name in POOLS
        ),
        maintenance=life.queues[queue.MAINTENANCE],
        ready=tuple(life.ready),
        **waiting,
    )
