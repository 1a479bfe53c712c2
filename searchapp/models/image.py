"""Stored images."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models, transaction
from django.db.models import Q
from django.urls import reverse

from searchapp.infra.content_keys import thumbnail_key
from searchapp.models.choices import PENDING_STATES, FeatureState, ImageState, Source
from searchapp.models.dataset import Dataset
from searchapp.models.scalars import SCALAR_COLUMNS, StaleScalars

if TYPE_CHECKING:
    from django.contrib.auth.models import User


# Pending states are included: a pending row is read again when it is claimed, but the claim may be
# happening at the same time.
_WITH_SCALARS = (ImageState.READY, *PENDING_STATES)
_SOME_KEY = 1_618_033_988


@cache
def _around(name: str, *rest: int) -> tuple[str, str]:
    """Return the parts of an image URL before and after the key.

    A page of images has a hundred URLs, and reversing each of them would take most of its time.
    """
    before, _, after = reverse(name, args=[_SOME_KEY, *rest]).partition(str(_SOME_KEY))
    return before, after


class ImageQuerySet(models.QuerySet["Image"]):
    def there(self) -> ImageQuerySet:
        """Return all images except deleted ones, which are kept only to be restored."""
        return self.exclude(state=ImageState.DELETED)

    def visible_to(self, user: User | AnonymousUser) -> ImageQuerySet:
        """Return the ready images of datasets that `user` may see, and all of those that they may
        edit: a file that was rejected is no business of others."""
        ready = Q(state=ImageState.READY, dataset__in=Dataset.objects.visible_to(user))
        if not user.is_authenticated:
            return self.filter(ready)
        return self.there().filter(ready | Q(dataset__in=Dataset.objects.editable_by(user)))

    def update(self, **changes: Any) -> int:
        """Update rows; if a change affects filters, schedule an update of the scalars in Milvus.

        This includes changes by `bulk_update`, which calls this method. Changes that include the
        state are excluded: code that makes them also writes the vectors.
        """
        if changes.keys().isdisjoint(SCALAR_COLUMNS) or "state" in changes:
            return super().update(**changes)
        with transaction.atomic(using=self.db):
            rows = self.filter(state__in=_WITH_SCALARS).order_by()
            keys = list(rows.values_list("pk", flat=True))
            number = super().update(**changes)
            StaleScalars.note(keys)
        return number


class Image(models.Model):
    """One image in one dataset, in which its content is unique."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="images")
    content_key = models.CharField(max_length=128)
    sha256 = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=255, help_text="file name as it was sent")
    title = models.CharField(max_length=255, blank=True)
    label = models.CharField(max_length=120, blank=True, help_text="its class, where it has one")
    tags = models.JSONField(default=list, blank=True, help_text="a list of words")
    metadata = models.JSONField(default=dict, blank=True)
    # If the image is a part of its file: left, top, width, height, in pixels of the upright file.
    box = models.JSONField(null=True, blank=True)
    # The location of an original that is not stored here: see `searchapp.infra.originals`.
    reference = models.CharField(max_length=2000, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.UPLOAD)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created = models.DateTimeField(auto_now_add=True)

    bytes = models.PositiveBigIntegerField()
    format = models.CharField(max_length=10, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    color = models.CharField(max_length=7, blank=True, help_text="dominant colour, #rrggbb")

    state = models.CharField(max_length=10, choices=ImageState.choices, default=ImageState.RECEIVED)
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    # A claim names the batch that processes the row. While the row is received, `lease_until` is
    # the earliest time of the next attempt.
    claim = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # The order in which waiting images are processed, so that imports progress concurrently: each
    # import counts from the turn that was being processed when it began.
    turn = models.BigIntegerField(default=0)
    # The version of its stored local features, or one of `choices.FeatureState`: see
    # `searchapp.services.ingest.feature_claims`. Only ready images with `NONE` wait for a worker.
    features = models.SmallIntegerField(default=FeatureState.NONE, db_default=FeatureState.NONE)

    objects = ImageQuerySet.as_manager()
    # Milliseconds that a worker spent on it, for the ledger; not stored in this table.
    duration: int | None = None

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "content_key"], name="one_image_per_content_in_dataset"
            )
        ]
        indexes = [
            # Pages of a gallery (keyset by id) and counts by state.
            models.Index(fields=["dataset", "state", "-id"], name="image_gallery"),
            # Pending work: small, regardless of the number of ready images.
            models.Index(
                fields=["state", "attempts", "turn", "id"],
                condition=Q(state__in=PENDING_STATES),
                name="image_pending",
            ),
            models.Index(
                fields=["deleted_at"], condition=Q(state=ImageState.DELETED), name="image_deleted"
            ),
            models.Index(fields=["dataset", "label", "-id"], name="image_label"),
            # The same condition as `partial_indexes.IMAGE_UNFEATURED`.
            models.Index(
                fields=["features", "id"],
                condition=Q(state=ImageState.READY, features__lte=0)
                & ~Q(features=FeatureState.CANNOT),
                name="image_unfeatured",
            ),
        ]

    def __str__(self) -> str:
        return self.caption

    def save(self, *, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save the row, and schedule an update of its scalars: see `ImageQuerySet.update`."""
        fields = None if update_fields is None else list(update_fields)
        is_new = self._state.adding
        with transaction.atomic():
            super().save(update_fields=fields, **options)
            if not is_new and (fields is None or not set(fields).isdisjoint(SCALAR_COLUMNS)):
                StaleScalars.note([self.pk])

    def get_absolute_url(self) -> str:
        return str(self.pk).join(_around("image"))

    @property
    def caption(self) -> str:
        """The text shown below the image."""
        return self.title.strip() or self.name.strip() or f"Picture {self.pk}"

    @property
    def thumbnail_key(self) -> str:
        """The key under which its thumbnails are stored."""
        return thumbnail_key(self.sha256, self.box)

    @property
    def original_url(self) -> str:
        return str(self.pk).join(_around("media-original"))

    def thumbnail_url(self, side: int = 256) -> str:
        return str(self.pk).join(_around("media-thumbnail", side))

    @property
    def large_thumbnail_url(self) -> str:
        return self.thumbnail_url(512)
