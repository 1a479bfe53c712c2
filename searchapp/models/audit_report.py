"""Reports of audits."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class AuditReport(models.Model):
    """The findings and repairs of one audit of database, files and vectors."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    deep = models.BooleanField(default=False, help_text="read every original, too")
    repair = models.BooleanField(default=False)
    # {kind: {"found": n, "repaired": n}}, and the first findings of each kind.
    counts = models.JSONField(default=dict)
    findings = models.JSONField(default=list)
    checked = models.JSONField(default=dict, help_text="how much of what was looked at")
    left = models.PositiveIntegerField(default=0, help_text="found and not repaired")
    error_detail = models.CharField(max_length=500, blank=True)
    dataset = models.SlugField(max_length=80, blank=True, help_text="empty: all of them")
    # An audit runs in slices, in the worker with the claim: the next check, and its position.
    position = models.JSONField(default=dict, blank=True)
    claim = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    started = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-started"]

    def __str__(self) -> str:
        return f"audit of {self.started:%Y-%m-%d %H:%M}"
