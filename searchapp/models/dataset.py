"""Datasets, their members and former slugs."""

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
        """Return the datasets whose images `user` may see, through any interface."""
        there = self.filter(deleted=None)
        if user.is_superuser:
            return there
        public = Q(visibility=Visibility.PUBLIC)
        if not user.is_authenticated:
            return there.filter(public)
        shared = Membership.objects.filter(user_id=user.pk).values("dataset_id")
        return there.filter(public | Q(owner_id=user.pk) | Q(pk__in=shared))

    def managed_by(self, user: User | AnonymousUser) -> DatasetQuerySet:
        """Return the datasets, including deleted ones, whose settings `user` may change."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_superuser else self.filter(_held_by(user, [Role.OWNER]))

    def editable_by(self, user: User | AnonymousUser) -> DatasetQuerySet:
        """Return the datasets whose images `user` may change."""
        there = self.filter(deleted=None)
        if not user.is_authenticated:
            return there.none()
        if user.is_superuser:
            return there
        return there.filter(_held_by(user, [Role.EDITOR, Role.OWNER]))

    def named(self, slug: str) -> Dataset | None:
        """Return the dataset with this slug or, if there is none, with this former slug."""
        return self.filter(slug=slug).first() or self.filter(former_slugs__slug=slug).first()


def _held_by(user: User, roles: list[Role]) -> Q:
    memberships = Membership.objects.filter(user_id=user.pk, role__in=roles)
    return Q(owner_id=user.pk) | Q(pk__in=memberships.values("dataset_id"))


class Dataset(models.Model):
    """A set of images that is managed and searched together."""

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
    # A deleted dataset is kept for a day, under another slug, so that it can be restored.
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
        """Return the role of `user` in the dataset; None if they are not a member."""
        if not user.is_authenticated:
            return None
        if user.is_superuser or self.owner_id == user.pk:
            return Role.OWNER
        role = self.memberships.filter(user_id=user.pk).values_list("role", flat=True).first()
        return None if role is None else Role(role)

    def may_edit(self, user: User | AnonymousUser) -> bool:
        """Whether `user` may add, change and delete images."""
        return self.role_of(user) in (Role.EDITOR, Role.OWNER)

    def may_manage(self, user: User | AnonymousUser) -> bool:
        """Whether `user` may change settings, members and indexes, and delete the dataset."""
        return self.role_of(user) == Role.OWNER

    @property
    def active_index(self) -> Index:
        """The index that searches use. Every dataset always has exactly one."""
        return self.indexes.get(state=IndexState.ACTIVE)


class Membership(models.Model):
    """The role of one user in one dataset. The `owner` of a dataset is a member without a row."""

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
    """A former slug of a dataset, which still redirects to it."""

    slug = models.SlugField(max_length=80, unique=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="former_slugs")

    def __str__(self) -> str:
        return f"{self.slug} → {self.dataset}"
