"""Indexes, which contain the vectors of a dataset under one pipeline, and their builds."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from searchapp.infra.vectors.collection_names import SCALARS_VERSION, collection_name
from searchapp.models.choices import IndexState


def _scalars_version() -> int:
    return SCALARS_VERSION


class Index(models.Model):
    """The vectors of one dataset under one pipeline."""

    dataset = models.ForeignKey(
        "searchapp.Dataset", on_delete=models.CASCADE, related_name="indexes"
    )
    state = models.CharField(max_length=10, choices=IndexState.choices, default=IndexState.BUILDING)
    pipeline = models.CharField(max_length=120)
    recipe = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    dimension = models.PositiveIntegerField()
    # Not part of the fingerprint: only runtimes and precisions whose vectors agree may be used.
    runtime = models.CharField(max_length=40, blank=True)
    precision = models.CharField(max_length=40, blank=True)
    # A build processes the images of the dataset by key. Images up to `cursor` are in the index, in
    # one of its chunks, or among its gaps. `total` is the number of images at the beginning.
    cursor = models.BigIntegerField(default=0)
    # After the first round, a second one looks for images that were added in another way meanwhile.
    total = models.PositiveIntegerField(default=0)
    round = models.PositiveSmallIntegerField(default=0)
    done = models.PositiveIntegerField(default=0, help_text="of `total`, in the first round")
    embedded = models.PositiveIntegerField(default=0, help_text="pictures, by building it")
    seconds = models.FloatField(default=0, help_text="that workers spent on `embedded`")
    # The version of the scalars stored with its vectors. A collection of an older version is filled
    # again, in the order of the images' keys, and cannot be filtered until that is done.
    scalars = models.PositiveSmallIntegerField(default=_scalars_version)
    scalars_cursor = models.BigIntegerField(default=0, help_text="filled anew up to this key")
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    built = models.DateTimeField(null=True, blank=True)
    activated = models.DateTimeField(null=True, blank=True)
    retired = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "indexes"
        constraints = [
            models.UniqueConstraint(
                fields=["dataset"],
                condition=Q(state=IndexState.ACTIVE),
                name="one_active_index_per_dataset",
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset} · {self.pipeline} ({self.state})"

    @property
    def collection(self) -> str:
        """The name of the Milvus collection with these vectors and no others."""
        return collection_name(self.pk, self.fingerprint)


class IndexChunk(models.Model):
    """A range of a dataset's images that a worker is adding to an index.

    The row is deleted when they have been added. After a crash, it is claimed again when its lease
    has expired.
    """

    index = models.ForeignKey(Index, on_delete=models.CASCADE, related_name="chunks")
    first = models.BigIntegerField(help_text="key of the first image")
    last = models.BigIntegerField(help_text="key of the last image")
    claim = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.index_id}: {self.first} to {self.last}"


class IndexGap(models.Model):
    """An image that is ready but could not be added to an index, and why."""

    index = models.ForeignKey(Index, on_delete=models.CASCADE, related_name="gaps")
    image = models.ForeignKey("searchapp.Image", on_delete=models.CASCADE, related_name="gaps")
    error_code = models.CharField(max_length=60)
    error_detail = models.CharField(max_length=500)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["index", "image"], name="one_gap_per_image_in_index")
        ]

    def __str__(self) -> str:
        return f"{self.image_id} is not in {self.index_id}: {self.error_code}"
