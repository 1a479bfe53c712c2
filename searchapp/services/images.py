"""Deleting images."""

from __future__ import annotations

from django.db import transaction

from searchapp.models import PENDING_ITEMS, Image, ImportItem, ItemState, VectorCleanup
from searchapp.services import cleanup


def delete_image(image: Image) -> None:
    """Delete an image: its row, its vectors, and its files unless another image uses them."""
    files = cleanup.Files.of(image)
    with transaction.atomic():
        VectorCleanup.objects.bulk_create(
            VectorCleanup(collection=index.collection, image_id=image.pk)
            for index in image.dataset.indexes.all()
        )
        ImportItem.objects.filter(image=image, state__in=PENDING_ITEMS).update(
            state=ItemState.REJECTED,
            error_code="deleted",
            error_detail="The image was deleted before it was ready.",
        )
        image.delete()
        transaction.on_commit(lambda: cleanup.after_deletion([files]))
