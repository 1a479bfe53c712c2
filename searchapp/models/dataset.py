"""Datasets, their members, and the slugs that they had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.urls import reverse

from searchapp.models.choices import IndexState, Role, Visibility

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from searchapp.models.index import Index


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def visible_to(self, user: User | AnonymousUser) -> DatasetQuerySet:
        """Datasets whose pictures `user` may see, in whatever door they come through."""
        there = self.filter(deleted=None)
        if user.is_superuser:
            return there
        public = Q(visibility=Visibility.PUBLIC)
        if not user.is_authenticated:
            return there.filter(public)
        shared = Membership.objects.filter(user_id=user.pk).values("dataset_id")
        return there.filter(public | Q(owner_id=user.pk) | Q(pk__in=shared))

    def managed_by(self, user: User | AnonymousUser) -> DatasetQuerySet:
        """Datasets, deleted ones among them, whose settings `user` may change."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_superuser else self.filter(_held_by(user, [Role.OWNER]))

    def editable_by(self, user: User | AnonymousUser) -> DatasetQuerySet:
        """Datasets whose pictures `user` may change."""
        there = self.filter(deleted=None)
        if not user.is_authenticated:
            return there.none()
        if user.is_superuser:
            return there
        return there.filter(_held_by(user, [Role.EDITOR, Role.OWNER]))

    def named(self, slug: str) -> Dataset | None:
        """Return the dataset that has this slug or, where none has, that had it once."""
        return self.filter(slug=slug).first() or self.filter(former_slugs__slug=slug).first()


def _held_by(user: User, roles: list[Role]) -> Q:
    memberships = Membership.objects.filter(user_id=user.pk, role__in=roles)
    return Q(owner_id=user.pk) | Q(pk__in=memberships.values("dataset_id"))


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
    # A deleted dataset is kept for a day, under another slug, so that it can be brought back.
    deleted = models.DateTimeField(null=True, blank=True, db_index=True)
    slug_before = models.SlugField(max_length=80, blank=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("dataset", args=[self.slug])

    def role_of(self, user: User | AnonymousUser) -> Role | None:
        """Return what `user` may do here beyond what anybody may; None for strangers."""
        if not user.is_authenticated:
            return None
        if user.is_superuser or self.owner_id == user.pk:
            return Role.OWNER
        found = self.memberships.filter(user_id=user.pk).values_list("role", flat=True).first()
        return None if found is None else Role(found)

    def may_edit(self, user: User | AnonymousUser) -> bool:
        """Whether `user` may add, change and delete pictures."""
        return self.role_of(user) in (Role.EDITOR, Role.OWNER)

    def may_manage(self, user: User | AnonymousUser) -> bool:
        """Whether `user` may change settings, members and indexes, and delete the dataset."""
        return self.role_of(user) == Role.OWNER

    @property
    def active_index(self) -> Index:
        """The index that searches use. Every dataset has exactly one from its creation on."""
        return self.indexes.get(state=IndexState.ACTIVE)


class Membership(models.Model):
    """One person's role in one dataset. Its `owner` is a member without a row here."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["user__username"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "user"], name="one_role_per_member")
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.dataset}"


class FormerSlug(models.Model):
    """A slug that a dataset had once: addresses with it still lead there."""

    slug = models.SlugField(max_length=80, unique=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="former_slugs")

    def __str__(self) -> str:
        return f"{self.slug} → {self.dataset}"
