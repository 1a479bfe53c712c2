"""Health of the workers and lengths of their queues, for pages and administration."""

from __future__ import annotations

from dataclasses import dataclass

from searchapp.infra import queue
from searchapp.models import ImportItem, ImportJob, ItemState
from searchapp.models.partial_indexes import JOB_ACTIVE
from searchapp.services.ingest import feature_claims

POOLS = (queue.QUERY, queue.INGEST)
# Waiting items are counted up to this number; beyond it, the page says 'more than'.
MAX_COUNTED = 10_000


@dataclass(frozen=True)
class Worker:
    name: str
    seconds: float  # since the last heartbeat


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
    """The state of pools, queues and rates at one moment."""

    redis: bool  # while it is down, pools and rates are unknown
    pools: tuple[Pool, ...]
    maintenance: int  # tasks
    images: int  # that wait for a worker or are claimed by one, `MAX_COUNTED` at most
    files: int  # of imports, still to be read, `MAX_COUNTED` at most
    featureless: int  # ready images without local features, `MAX_COUNTED` at most
    ready: tuple[int, ...]  # images made searchable per minute, the current minute first

    @property
    def rate(self) -> float:
        """Return images per second, over the last whole minutes with any."""
        whole = self.ready[1:4]
        return sum(whole) / (60 * len(whole)) if whole else 0.0

    @property
    def is_well(self) -> bool:
        return self.redis and all(pool.is_alive for pool in self.pools)


def snapshot() -> Snapshot:
    """Read Redis and the database. A Redis that is down is reported, not raised."""
    active = list(ImportJob.objects.filter(JOB_ACTIVE).values_list("pk", flat=True))
    # Count ledger rows instead of images: every database uses their index.
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
