"""Permission checks for pages: datasets, images and jobs that a user may see or change."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404

from searchapp.models import Dataset, Image, ImportJob
from searchapp.services.imports import ledger_report

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class DatasetMoved(Exception):
    """The dataset's slug has changed; `searchapp.middleware.dataset_redirect` redirects."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


def find_dataset(user: User | AnonymousUser, slug: str) -> Dataset:
    """Return the dataset that has or had this slug.

    Raises `Http404` when there is none that `user` may see.
    """
    dataset = Dataset.objects.visible_to(user).named(slug)
    if dataset is None:
        raise Http404(f"There is no dataset '{slug}', or it is private.")
    return dataset


def visible_dataset(user: User | AnonymousUser, slug: str) -> Dataset:
    """Return the dataset with this slug.

    Raises `Http404` when there is none that `user` may see, and `DatasetMoved` when its slug has
    changed.
    """
    dataset = find_dataset(user, slug)
    if dataset.slug != slug:
        raise DatasetMoved(dataset.slug)
    return dataset


def own_dataset(user: User | AnonymousUser, slug: str) -> Dataset:
    """Return the dataset if `user` may change its pictures; 403 when it may only be seen."""
    dataset = visible_dataset(user, slug)
    if not dataset.may_edit(user):
        raise PermissionDenied("Only an editor or owner of this dataset may change its pictures.")
    return dataset


def managed_dataset(user: User | AnonymousUser, slug: str) -> Dataset:
    """Return the dataset if `user` may change its settings; 403 when it may only be seen."""
    dataset = visible_dataset(user, slug)
    if not dataset.may_manage(user):
        raise PermissionDenied("Only an owner of this dataset may do this.")
    return dataset


def visible_image(user: User | AnonymousUser, pk: int) -> Image:
    image = Image.objects.select_related("dataset").visible_to(user).filter(pk=pk).first()
    if image is None:
        raise Http404("There is no such picture, or it is in a private dataset.")
    return image


def own_image(user: User | AnonymousUser, pk: int) -> Image:
    """Return the image if `user` may change it; 403 when it may only be seen."""
    image = visible_image(user, pk)
    if not image.dataset.may_edit(user):
        raise PermissionDenied("Only an editor or owner of this picture's dataset may change it.")
    return image


def visible_job(user: User | AnonymousUser, pk: UUID) -> ImportJob:
    job = ImportJob.objects.select_related("dataset", "user").filter(pk=pk).first()
    if job is None or not ledger_report.may_see(job, user):
        raise Http404("There is no such import, or it is somebody else's.")
    return job
