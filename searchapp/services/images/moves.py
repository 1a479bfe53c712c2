"""Moves: images leave their dataset as their copies become ready, and only then the move ends."""

from __future__ import annotations

from searchapp.models import ImportItem, ImportJob, ItemState
from searchapp.models.partial_indexes import JOB_ACTIVE
from searchapp.services.images import image_deletion
from searchapp.services.imports import job_progress
from searchapp.services.imports.sources.dataset import Plan

_CHUNK = 500


def finish_moves(limit: int = 20) -> int:
    """Delete the images of active moves whose copies are ready, and end the moves that are over;
    returns how many images left.

    Images that were not copied stay, and so do those of a move that was cancelled meanwhile. At
    most `limit` times 500 images per call: the next call continues with the rest.
    """
    number = 0
    for job in ImportJob.objects.filter(JOB_ACTIVE, options__move=True).order_by("created"):
        source = job.sources.first()
        if source is None:
            continue
        plan = Plan.parse(source.location)
        while left := _leave(job, plan):
            number += left
            limit -= 1
            if limit <= 0:
                return number
        job_progress.settle([job.pk])
    return number


def _leave(job: ImportJob, plan: Plan) -> int:
    """Delete some images that were copied; returns how many rows of the ledger that settled."""
    copied = ImportItem.objects.filter(job=job, state=ItemState.READY, locator__isnull=False)
    items = list(copied.order_by("position").only("locator")[:_CHUNK])
    keys = [item.locator["image"] for item in items if item.locator]
    image_deletion.delete(plan.dataset, keys)
    # Settled rows lose their locator; when one is retried, it is checked again.
    ImportItem.objects.filter(pk__in=[item.pk for item in items]).update(locator=None)
    return len(items)
