"""What the title, label, tags and metadata of images were before an edit."""

from __future__ import annotations

from django.db import models

from searchapp.models.image import Image


class ImageEdit(models.Model):
    """One image in one edit, so that the edit can be undone for a day.

    `before` and `after` hold the columns that it changed. Undoing leaves a column alone that
    somebody changed afterwards.
    """

    edit = models.UUIDField()
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="edits")
    before = models.JSONField()
    after = models.JSONField()
    created = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["edit", "image"], name="one_image_per_edit")]

    def __str__(self) -> str:
        return f"image {self.image_id} in edit {self.edit}"
