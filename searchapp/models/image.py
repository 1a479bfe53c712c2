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


# A row that waits is read again when it is claimed, unless the claim is being made right now.
_WITH_SCALARS = (ImageState.READY, *PENDING_STATES)
_SOME_KEY = 1_618_033_988


@cache
def _around(name: str, *rest: int) -> tuple[str, str]:
    """An address of images, before and after the key: a page of pictures has a hundred addresses,
    and would spend more time on resolving them than on anything else."""
    before, _, after = reverse(name, args=[_SOME_KEY, *rest]).partition(str(_SOME_KEY))
    return before, after


class ImageQuerySet(models.QuerySet["Image"]):
    def there(self) -> ImageQuerySet:
        """All but those that were deleted and are only kept to be brought back."""
        return self.exclude(state=ImageState.DELETED)

    def visible_to(self, user: User | AnonymousUser) -> ImageQuerySet:
        return self.there().filter(dataset__in=Dataset.objects.visible_to(user))

    def update(self, **changes: Any) -> int:
        """Change rows; where searches can be limited by what changes, Milvus is told of it.

        Whatever door the change comes by: `bulk_update` comes through here as well. What changes
        the state with it is the work of those who write the vectors themselves.
        """
        if changes.keys().isdisjoint(SCALAR_COLUMNS) or "state" in changes:
            return super().update(**changes)
        with transaction.atomic(using=self.db):
            found = self.filter(state__in=_WITH_SCALARS).order_by()
            keys = list(found.values_list("pk", flat=True))
            number = super().update(**changes)
            StaleScalars.note(keys)
        return number


class Image(models.Model):
    """One picture in one dataset, unique there by its content."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="images")
    content_key = models.CharField(max_length=128)
    sha256 = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=255, help_text="file name as it was sent")
    title = models.CharField(max_length=255, blank=True)
    label = models.CharField(max_length=120, blank=True, help_text="its class, where it has one")
    tags = models.JSONField(default=list, blank=True, help_text="a list of words")
    metadata = models.JSONField(default=dict, blank=True)
    # Of a picture that is a part of its file: left, top, width, height in pixels, seen upright.
    box = models.JSONField(null=True, blank=True)
    # Where the original is, when it is not kept here: see `searchapp.infra.originals`.
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
    # A claim names the batch that works on the row; while the row is received, `lease_until` is
    # the time before which nobody need try again.
    claim = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # The order in which waiting images are taken, so that imports progress side by side: each
    # import counts on from the turn that was served when it began.
    turn = models.BigIntegerField(default=0)
    # The version of its stored local features, or one of `choices.FeatureState`: see
    # `searchapp.services.ingest.feature_claims`. Only ready images with `NONE` wait for work.
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
            # The work that waits: small, whatever the number of ready pictures.
            models.Index(
                fields=["state", "attempts", "turn", "id"],
                condition=Q(state__in=PENDING_STATES),
                name="image_pending",
            ),
            models.Index(
                fields=["deleted_at"], condition=Q(state=ImageState.DELETED), name="image_deleted"
            ),
            models.Index(fields=["dataset", "label", "-id"], name="image_label"),
            # As `conditions.IMAGE_UNFEATURED`.
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
        """Save the row; see `ImageQuerySet.update` for what goes with a change."""
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
        """What people read under the picture."""
        return self.title.strip() or self.name.strip() or f"Picture {self.pk}"

    @property
    def thumbnail_key(self) -> str:
        """What its thumbnails are stored under."""
        return thumbnail_key(self.sha256, self.box)

    @property
    def original_url(self) -> str:
        return str(self.pk).join(_around("media-original"))

    def thumbnail_url(self, side: int = 256) -> str:
        return str(self.pk).join(_around("media-thumbnail", side))

    @property
    def large_thumbnail_url(self) -> str:
        return self.thumbnail_url(512)
