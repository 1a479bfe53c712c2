"""Datasets and their indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.urls import reverse

from searchapp.models.choices import IndexState, Visibility
from searchapp.vectors.names import collection_name

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def visible_to(self, user: User | AnonymousUser) -> DatasetQuerySet:
        """Datasets whose pictures `user` may see, in whatever door they come through."""
        if user.is_superuser:
            return self
        public = Q(visibility=Visibility.PUBLIC)
        return self.filter(public | Q(owner_id=user.pk) if user.is_authenticated else public)


class Dataset(models.Model):
    """A set of pictures that people manage and search as one."""

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True, max_length=2000)
    visibility = models.CharField(
        max_length=10, choices=Visibility.choices, default=Visibility.PRIVATE
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="datasets"
    )
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("dataset", args=[self.slug])

    def may_edit(self, user: User | AnonymousUser) -> bool:
        return bool(user.is_authenticated and (user.is_superuser or self.owner_id == user.pk))

    @property
    def active_index(self) -> Index:
        """The index that searches use. Every dataset has exactly one from its creation on."""
        return self.indexes.get(state=IndexState.ACTIVE)


class Index(models.Model):
    """The vectors of one dataset under one pipeline."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="indexes")
    state = models.CharField(max_length=10, choices=IndexState.choices, default=IndexState.BUILDING)
    pipeline = models.CharField(max_length=120)
    recipe = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    dimension = models.PositiveIntegerField()
    # Recorded beside the fingerprint, not in it: allowed only where their vectors agree.
    runtime = models.CharField(max_length=40, blank=True)
    precision = models.CharField(max_length=40, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "indexes"
        constraints = [
            models.UniqueConstraint(
                fields=["dataset"],
                condition=Q(state=IndexState.ACTIVE),
                name="one_active_index_per_dataset",
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset} · {self.pipeline} ({self.state})"

    @property
    def collection(self) -> str:
        """Name of the Milvus collection that holds these vectors and no others."""
        return collection_name(self.pk, self.fingerprint)


class VectorCleanup(models.Model):
    """A vector, or a whole collection, whose rows are gone and which Milvus must forget too.

    Written in the transaction that deletes the rows, so that nothing is forgotten while Milvus
    is down; the sweeper works it off.
    """

    collection = models.CharField(max_length=120)
    image_id = models.BigIntegerField(null=True, blank=True, help_text="empty: all of it")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.collection} {self.image_id or '(all)'}"
