"""Import jobs and their ledger."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from searchapp.models.choices import ImageState
from searchapp.models.dataset import Dataset
from searchapp.models.image import Image


class ImportJob(models.Model):
    """One request to add pictures; its items are the ledger, one row a file."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="jobs")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    total = models.PositiveIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.total} files into {self.dataset}"


class ImportItem(models.Model):
    """What became of one file. Its state follows that of its image."""

    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=255)
    image = models.ForeignKey(
        Image, null=True, blank=True, on_delete=models.SET_NULL, related_name="items"
    )
    duplicate = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=ImageState.choices)
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["job", "position"]
        indexes = [models.Index(fields=["job", "state"], name="item_counts")]
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="one_item_per_position")
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"
