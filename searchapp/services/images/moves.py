"""Finish moves: images leave their dataset once their copies are ready."""

from __future__ import annotations

from searchapp.models import (
    ENDED_JOBS,
    MOVED,
    ImportItem,
    ImportJob,
    ImportSource,
    ItemState,
    SourceKind,
)
from searchapp.services.images import image_deletion
from searchapp.services.images.bulk_actions import Action
from searchapp.services.imports.sources.dataset import Plan

_CHUNK = 500


def finish_moves(limit: int = 20) -> int:
    """Delete the images of ended moves whose copies are ready; returns how many.

    Images that were not copied stay. At most `limit` times 500 images per call: the next call
    continues with the rest.
    """
    number = 0
    ended = ImportSource.objects.filter(
        kind=SourceKind.DATASET, job__state__in=ENDED_JOBS, job__options__move=True
    ).exclude(cursor__endswith=MOVED)
    for source in ended.select_related("job").order_by("pk")[:limit]:
        plan = Plan.parse(source.location)
        while plan.change.action == Action.MOVE:
            if limit <= 0:
                return number
            limit -= 1
            done = _leave(source.job, plan)
            if not done:
                break
            number += done
        ImportSource.objects.filter(pk=source.pk, job__state__in=ENDED_JOBS).update(
            cursor=f"{source.cursor}{MOVED}"
        )
    return number


def _leave(job: ImportJob, plan: Plan) -> int:
    """Delete some images that were copied; returns how many rows of the ledger that settled."""
    copied = ImportItem.objects.filter(
        job=job, state=ItemState.READY, locator__has_key="image"
    ).order_by("position")
    items = list(copied.only("locator")[:_CHUNK])
    keys = [item.locator["image"] for item in items if item.locator]
    image_deletion.delete(plan.dataset, keys, job.ended)
    # Settled rows lose their locator; when one is retried, it is checked again.
    ImportItem.objects.filter(pk__in=[item.pk for item in items]).update(locator=None)
    return len(items)
