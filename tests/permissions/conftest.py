"""One dataset, public or private, and everybody who can stand in some relation to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from searchapp.models import Dataset, ImportItem, ImportJob, JobState, PartialUpload, Role
from searchapp.services.datasets import dataset_deletion, members
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.images import image_deletion
from tests.factories import add_image
from tests.pages.conftest import ReadingClient
from tests.pictures import plain_picture

# Staff that are in no dataset, and have no rights, are outsiders.
PEOPLE = ("anonymous", "outsider", "staff", "viewer", "editor", "owner", "superuser")


@dataclass
class House:
    """`holder` is the one whom the dataset belongs to; `owner` is a member with that role."""

    people: dict[str, User]
    dataset: Dataset

    def user(self, who: str) -> User:
        return self.people[who]

    def client(self, who: str) -> Client:
        client = ReadingClient()
        if who != "anonymous":
            client.force_login(self.people[who])
        return client


@pytest.fixture
def house(db: None) -> House:
    people = {
        name: User.objects.create_user(name)
        for name in ("holder", "outsider", "viewer", "editor", "owner")
    }
    people["staff"] = User.objects.create_user("staff", is_staff=True)
    people["superuser"] = User.objects.create_superuser("superuser")
    dataset = create_dataset(name="Letters", owner=people["holder"])
    for role in Role.values:
        members.put(dataset, role, role)
    return House(people, dataset)


@pytest.fixture
def keys(house: House) -> dict[str, Any]:
    """What addresses name: all in one private dataset, but for one that was deleted."""
    dataset = house.dataset
    image, deleted = add_image(dataset), add_image(dataset)
    image_deletion.delete_image(deleted)
    add_image(dataset, plain_picture(99))
    job = ImportJob.objects.create(
        dataset=dataset, user=house.user("holder"), is_open=True, state=JobState.RUNNING
    )
    ImportItem.objects.create(job=job, position=0, name="a", state="ready", image=image)
    upload = PartialUpload.objects.create(job=job, user=house.user("editor"), name="a", size=1)
    gone = create_dataset(name="Gone", owner=house.user("holder"))
    for role in ("viewer", "editor", "owner"):
        members.put(gone, role, role)
    dataset_deletion.delete_dataset(gone)
    return {
        "slug": dataset.slug, "image": image.pk, "deleted": deleted.pk, "side": 256,
        "job": job.pk, "upload": upload.pk, "gone": gone.pk, "gone-slug": "gone",
        "index": dataset.active_index.pk,
    }  # fmt: skip
