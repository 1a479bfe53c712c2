"""Bookkeeping of filter scalars: images to update in Milvus, and counts for facets."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models, transaction
from django.dispatch import Signal

from searchapp.models.dataset import Dataset

# The columns of an image that the scalars beside its vectors are made of.
SCALAR_COLUMNS = (
    "label", "tags", "title", "name", "metadata", "format", "width", "height", "color", "bytes",
    "created",
)  # fmt: skip

# Sent when rows of StaleScalars are committed.
scalars_stale = Signal()


class StaleScalars(models.Model):
    """An image whose row has changed, and whose scalars in Milvus must follow.

    Written in the transaction that changes the row; a worker works it off.
    """

    image_id = models.BigIntegerField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"image {self.image_id}"

    @classmethod
    def note(cls, images: Iterable[int]) -> None:
        """Write down that these images have changed. Call it in the transaction that does it."""
        rows = [StaleScalars(image_id=key) for key in images]
        if rows:
            StaleScalars.objects.bulk_create(rows, batch_size=1000)
            transaction.on_commit(lambda: scalars_stale.send(sender=cls))


class DatasetFacets(models.Model):
    """What the pictures of a dataset can be filtered by, counted: see `services.filters.facets`."""

    dataset = models.OneToOneField(Dataset, on_delete=models.CASCADE, related_name="facets")
    fields = models.JSONField(default=dict)
    # The pictures that were counted: how many, and the key of the newest.
    pictures = models.PositiveIntegerField(default=0)
    newest = models.BigIntegerField(default=0)
    counted = models.DateTimeField(null=True, blank=True, help_text="empty: never yet")
    seconds = models.FloatField(default=0, help_text="that counting took")
    is_stale = models.BooleanField(default=False, help_text="a row has changed since")
    # Somebody asked for a new count; a worker makes it, one at a time.
    is_wanted = models.BooleanField(default=False)
    lease_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"facets of {self.dataset_id}"
