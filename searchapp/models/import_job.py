"""Import jobs, their sources, and the ledger of their files."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from searchapp.models.choices import (
    ACTIVE_JOBS,
    PENDING_ITEMS,
    ItemState,
    JobState,
    SourceKind,
)
from searchapp.models.dataset import Dataset
from searchapp.models.image import Image

# Suffix of a source's cursor that an earlier version left, when moved images had been deleted.
MOVED = "m"


class ImportJob(models.Model):
    """One request to add images. Its items are the ledger, with one row per file."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="jobs")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    kind = models.CharField(max_length=10, choices=SourceKind.choices, default=SourceKind.UPLOAD)
    name = models.CharField(max_length=255, blank=True, help_text="what people call its source")
    options = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=20, choices=JobState.choices, default=JobState.QUEUED)
    # An open job may still receive files from its client.
    is_open = models.BooleanField(default=False)
    total = models.PositiveIntegerField(default=0, help_text="files listed so far")
    # For an ended job: the number of its files by state, so that it need not be counted again.
    counts = models.JSONField(null=True, blank=True)
    turn = models.BigIntegerField(default=0, help_text="see Image.turn")
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    # The worker that lists and accepts its files; only one at a time.
    claim = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)
    # The job has run for `seconds` before its last pause, plus the time since `resumed`.
    resumed = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(default=0)
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created"]
        indexes = [
            models.Index(fields=["user", "-created"], name="job_list_own"),
            models.Index(fields=["-created"], name="job_list"),
            models.Index(fields=["turn"], condition=Q(state__in=ACTIVE_JOBS), name="job_active"),
        ]

    def __str__(self) -> str:
        return f"{self.name or self.get_kind_display()} into {self.dataset}"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.pk])


class ImportSource(models.Model):
    """A source from which an import lists files: an archive, a folder, a manifest, a bucket."""

    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="sources")
    kind = models.CharField(max_length=10, choices=SourceKind.choices)
    name = models.CharField(max_length=255, help_text="as people gave it")
    location = models.TextField(help_text="a path of this server, an address, or a stored file")
    cursor = models.TextField(blank=True, help_text="how far the listing has come")
    is_listed = models.BooleanField(default=False)
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class ImportItem(models.Model):
    """The result for one file. Once it has an image, its state follows that of the image."""

    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="items")
    source = models.ForeignKey(
        ImportSource, null=True, blank=True, on_delete=models.SET_NULL, related_name="items"
    )
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=1000)
    locator = models.JSONField(null=True, blank=True, help_text="where in its source it is")
    given = models.JSONField(default=dict, blank=True, help_text="what its source says of it")
    image = models.ForeignKey(
        Image, null=True, blank=True, on_delete=models.SET_NULL, related_name="items"
    )
    duplicate = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=ItemState.choices)
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    duration = models.PositiveIntegerField(
        null=True, blank=True, help_text="milliseconds that a worker spent on it"
    )

    class Meta:
        ordering = ["job", "position"]
        indexes = [
            # Counts by state, and the rows of each state in order.
            models.Index(fields=["job", "state", "position"], name="item_ledger"),
            models.Index(
                fields=["job", "error_code", "position"],
                condition=~Q(error_code=""),
                name="item_codes",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="one_item_per_position")
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"

    @property
    def is_pending(self) -> bool:
        return self.state in PENDING_ITEMS
