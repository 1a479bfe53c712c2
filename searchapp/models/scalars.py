"""Bookkeeping of filter scalars: images to update in Milvus, and counts for facets."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models, transaction
from django.dispatch import Signal

from searchapp.models.dataset import Dataset

# The columns of an image from which the scalars stored with its vector are created.
SCALAR_COLUMNS = (
    "label", "tags", "title", "name", "metadata", "format", "width", "height", "color", "bytes",
    "created",
)  # fmt: skip

# Sent when rows of StaleScalars are committed.
scalars_stale = Signal()


class StaleScalars(models.Model):
    """An image whose row has changed, and whose scalars in Milvus must be updated.

    Created in the transaction that changes the row; a worker processes and deletes it.
    """

    image_id = models.BigIntegerField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"image {self.image_id}"

    @classmethod
    def note(cls, images: Iterable[int]) -> None:
        """Record that these images have changed. Call it in the transaction that changes them."""
        rows = [StaleScalars(image_id=key) for key in images]
        if rows:
            StaleScalars.objects.bulk_create(rows, batch_size=1000)
            transaction.on_commit(lambda: scalars_stale.send(sender=cls))


class DatasetFacets(models.Model):
    """Counts of the filter values of a dataset's images: see `services.filters.facets`."""

    dataset = models.OneToOneField(Dataset, on_delete=models.CASCADE, related_name="facets")
    fields = models.JSONField(default=dict)
    # The number of counted images, and the key of the newest.
    pictures = models.PositiveIntegerField(default=0)
    newest = models.BigIntegerField(default=0)
    counted = models.DateTimeField(null=True, blank=True, help_text="empty: never yet")
    seconds = models.FloatField(default=0, help_text="that counting took")
    is_stale = models.BooleanField(default=False, help_text="a row has changed since")
    # A new count has been requested; only one worker at a time counts.
    is_wanted = models.BooleanField(default=False)
    lease_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"facets of {self.dataset_id}"
