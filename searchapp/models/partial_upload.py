"""Resumable uploads."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from searchapp.models.import_job import ImportJob


class PartialUpload(models.Model):
    """A file that is uploaded in parts, and can be resumed after a dropped connection.

    Its bytes are in a file in the upload folder, named after its key. The size of that file is the
    number of bytes received.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="uploads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    name = models.CharField(max_length=1000)
    size = models.PositiveBigIntegerField(help_text="bytes that were announced")
    given = models.JSONField(default=dict, blank=True, help_text="what its sender says of it")
    created = models.DateTimeField(auto_now_add=True)
    # When it became a file of its import. The row is kept for a day, so that a client that missed
    # the response can ask again and learn that the upload is complete.
    done = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created"]
        indexes = [
            models.Index(fields=["created"], condition=Q(done=None), name="upload_unfinished"),
            models.Index(fields=["done"], name="upload_done"),
        ]

    def __str__(self) -> str:
        return self.name
