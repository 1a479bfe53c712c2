"""Stored query images."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.urls import reverse


def new_token() -> str:
    return secrets.token_urlsafe(16)


class Query(models.Model):
    """A query image, stored for a limited time under a URL that cannot be guessed."""

    token = models.CharField(primary_key=True, max_length=32, default=new_token, editable=False)
    sha256 = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=255, blank=True)
    url = models.URLField(max_length=2000, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    # Who sent it, a user or a network, and how much of their share it takes.
    client = models.CharField(max_length=60, blank=True)
    bytes = models.PositiveBigIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-created"]
        verbose_name_plural = "queries"
        indexes = [models.Index(fields=["client", "-created"], name="query_client")]

    def __str__(self) -> str:
        return self.name or self.url or self.token

    def get_absolute_url(self) -> str:
        return reverse("results", args=[self.token])

    @property
    def picture_url(self) -> str:
        return reverse("query-picture", args=[self.token])
