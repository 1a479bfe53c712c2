"""Vectors that must still be deleted from Milvus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    pass


class VectorCleanup(models.Model):
    """A vector, or a whole collection, to delete from Milvus because its rows have been deleted.

    Created in the transaction that deletes the rows, so that none is missed while Milvus is down.
    The sweeper processes it.
    """

    collection = models.CharField(max_length=120)
    image_id = models.BigIntegerField(null=True, blank=True, help_text="empty: all of it")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.collection} {self.image_id or '(all)'}"
