"""The Celery application: `celery -A worker.app worker -Q query` and `-Q ingest,maintenance`.

The query pool is one process of threads around one model thread (`embeddings.batching.Batcher`):
queries that wait while the model runs become its next batch. The ingest pool has several processes,
each with its own model, so that an import never delays a search and a file that crashes its process
affects no other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import Any

import django
import redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "searchapp.settings.main")
# One thread a process: two-thread kernels stall when other processes load the cores.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
django.setup()

from django.conf import settings  # noqa: E402 (Django must be ready first)

os.environ.setdefault("EMBEDDINGS_CACHE", str(settings.MODEL_CACHE))

from celery import signals  # noqa: E402
from celery.schedules import crontab  # noqa: E402

from searchapp.infra import queue  # noqa: E402
from searchapp.infra.queue import celery_app as app  # noqa: E402

app.conf.update(
    include=[
        "worker.tasks.query",
        "worker.tasks.verify",
        "worker.tasks.compare",
        "worker.tasks.ingest",
        "worker.tasks.imports",
        "worker.tasks.indexes",
        "worker.tasks.features",
        "worker.tasks.audit",
        "worker.tasks.calibration",
        "worker.tasks.maintenance",
        "worker.runtime.failure_log",
    ],
    beat_schedule={
        "sweep": {"task": "maintenance.sweep", "schedule": 5.0, "options": {"expires": 5}},
        "tidy": {"task": "maintenance.tidy", "schedule": 600.0, "options": {"expires": 600}},
        "calibrate": {
            "task": "maintenance.calibrate",
            "schedule": 60.0,
            "options": {"expires": 60},
        },
        "audit": {
            "task": "audit.nightly",
            "schedule": crontab(hour=3, minute=30),
            "options": {"expires": 3600},
        },
    },
    # The schedule is fixed, so beat needs no state file.
    beat_scheduler="celery.beat:Scheduler",
    task_time_limit=300,
    task_soft_time_limit=270,
)

log = logging.getLogger(__name__)
_stopping = threading.Event()
_PREPARE_SECONDS = 90.0


def _pools(consumer: Any) -> list[str]:
    consumed = set(consumer.app.amqp.queues.consume_from)
    return [pool for pool in (queue.QUERY, queue.INGEST) if pool in consumed]


@signals.celeryd_after_setup.connect
def _warm_query_pool(instance: Any, **_: Any) -> None:
    """Load the model and the geometric comparison before the first query is accepted.

    An ingest process loads its model with its first image: no request waits for it, and an idle
    process uses no memory for a model.
    """
    if queue.QUERY in _pools(instance):
        from worker.runtime import engines
        from worker.tasks import verify

        engines.warm_up()
        verify.warm_up()


@signals.worker_ready.connect
def _prepare_places(sender: Any, **_: Any) -> None:
    """Convert the model for heatmaps later, when the load of the start is over."""
    if queue.QUERY not in _pools(sender):
        return

    def prepare() -> None:
        from worker.runtime.engines import default_engine, prepare_places

        if not _stopping.wait(_PREPARE_SECONDS):
            try:
                prepare_places(default_engine())
            except Exception:  # a request for a heatmap reports the reason
                log.exception("heatmaps cannot be prepared")

    threading.Thread(target=prepare, name="places", daemon=True).start()


@signals.worker_ready.connect
def _start_heart(sender: Any, **_: Any) -> None:
    def beat() -> None:
        while not _stopping.is_set():
            for pool in _pools(sender):
                # Without Redis no heartbeat arrives, and the pool counts as not ready: correct.
                with contextlib.suppress(redis.RedisError):
                    queue.beat_heart(pool, sender.hostname)
            _stopping.wait(queue.HEARTBEAT_SECONDS)

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


@signals.worker_shutting_down.connect
def _stop_heart(sender: Any, **_: Any) -> None:
    _stopping.set()
    for pool in (queue.QUERY, queue.INGEST):
        with contextlib.suppress(redis.RedisError):  # the heartbeat expires anyway
            queue.stop_heart(pool, sender)
