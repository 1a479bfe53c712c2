"""Tasks that failed."""

from __future__ import annotations

from django.db import models


class FailedTask(models.Model):
    """A task that failed with an unexpected error. It can be run again."""

    name = models.CharField(max_length=120)
    queue = models.CharField(max_length=40, blank=True)
    arguments = models.JSONField(default=dict)
    error = models.CharField(max_length=500)
    trace = models.TextField(blank=True)
    worker = models.CharField(max_length=120, blank=True)
    failed = models.DateTimeField(auto_now_add=True)
    again = models.DateTimeField(null=True, blank=True, help_text="when it was sent again")

    class Meta:
        ordering = ["-failed"]

    def __str__(self) -> str:
        return f"{self.name}: {self.error}"
