"""Claims of images for computing local features, which are stored beside thumbnails.

Features are computed of ready images when nothing more urgent waits. With them, a pair of pictures
is compared by geometry in milliseconds; without them, search computes them on demand. An image
without features is therefore ready, and this stage changes only `Image.features`, by
compare-and-swap under a claim.

A new version of the features needs a migration that sets the column to 0; until an image is
processed again, files of the old version count as missing.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from searchapp.infra import queue
from searchapp.models import FeatureState, Image, ImageState
from searchapp.models.partial_indexes import IMAGE_UNFEATURED

TASK = "features.advance"
BATCH = 32
LEASE = timedelta(seconds=60)
_WAITING = (FeatureState.NONE, FeatureState.ALONE)
_CLAIMED = (FeatureState.CLAIMED, FeatureState.CLAIMED_ALONE)
# The limit of the count that pages show.
MAX_COUNTED = 10_000


def call_workers() -> None:
    """Wake a worker to compute features. A lost message does no harm: the sweep sends another."""
    with contextlib.suppress(queue.QueueUnavailable):
        queue.send_once(TASK)


def waits() -> bool:
    """Return whether there are images whose features could be computed now."""
    return _unfeatured().filter(features__in=_WAITING).order_by().exists()


def left() -> int:
    """Return how many ready images have no features yet, counting to `MAX_COUNTED`."""
    return _unfeatured().order_by().values("pk")[:MAX_COUNTED].count()


def claim(limit: int = BATCH) -> list[Image]:
    """Claim up to `limit` images for this caller alone, the oldest first.

    Images whose worker has died are claimed one by one, when there are no others.
    """
    return _claim(limit, FeatureState.NONE, FeatureState.CLAIMED) or _claim(
        1, FeatureState.ALONE, FeatureState.CLAIMED_ALONE
    )


def _claim(limit: int, waiting: FeatureState, claimed: FeatureState) -> list[Image]:
    token = secrets.token_hex(16)
    chosen = _unfeatured().filter(features=waiting).order_by("pk").values("pk")[:limit]
    # Another worker may select the same rows: only those still waiting are claimed.
    won = Image.objects.filter(pk__in=chosen, state=ImageState.READY, features=waiting).update(
        features=claimed, claim=token, lease_until=timezone.now() + LEASE
    )
    if not won:
        return []
    mine = _unfeatured().filter(features=claimed, claim=token).order_by("pk")
    return list(mine.only("pk", "sha256", "box", "reference", "claim", "width", "height"))


def finish(claimed: Sequence[Image], outcome: Mapping[int, int]) -> list[int]:
    """Record the outcome of claimed images: `outcome` maps image ids to version or `FeatureState`.

    Images that it does not name wait again. Returns the ids of images whose claim no longer holds
    (deleted, or claimed by another worker).
    """
    by_value: dict[int, list[int]] = {}
    for image in claimed:
        by_value.setdefault(outcome.get(image.pk, FeatureState.NONE), []).append(image.pk)
    claims = {image.claim for image in claimed}
    ours = Image.objects.filter(claim__in=claims, state=ImageState.READY, features__in=_CLAIMED)
    there = set(ours.filter(pk__in=[image.pk for image in claimed]).values_list("pk", flat=True))
    for value, keys in by_value.items():
        ours.filter(pk__in=keys).update(features=value, claim="", lease_until=None)
    return [image.pk for image in claimed if image.pk not in there]


def note(stored: Sequence[Image], version: int) -> None:
    """Mark features as stored for waiting images, when a search has computed them on demand."""
    Image.objects.filter(
        pk__in=[image.pk for image in stored], state=ImageState.READY, features__in=_WAITING
    ).update(features=version)


def free_expired() -> int:
    """Release expired claims; an image that has killed two workers gets no features.

    Returns how many images wait again.
    """
    over = Q(lease_until=None) | Q(lease_until__lt=timezone.now())
    images = Image.objects.filter(over, state=ImageState.READY)
    images.filter(IMAGE_UNFEATURED, features=FeatureState.CLAIMED_ALONE).update(
        features=FeatureState.CANNOT, claim="", lease_until=None
    )
    return images.filter(IMAGE_UNFEATURED, features=FeatureState.CLAIMED).update(
        features=FeatureState.ALONE, claim="", lease_until=None
    )


def _unfeatured() -> QuerySet[Image]:
    return Image.objects.filter(IMAGE_UNFEATURED)
