"""One dataset, public or private, and everybody who can stand in some relation to it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User
from django.test import Client

from searchapp.models import Dataset, Role
from searchapp.services.datasets import members
from searchapp.services.datasets.dataset_service import create_dataset
from tests.pages.conftest import ReadingClient

PEOPLE = ("anonymous", "outsider", "viewer", "editor", "owner", "superuser")


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
    people["superuser"] = User.objects.create_superuser("superuser")
    dataset = create_dataset(name="Letters", owner=people["holder"])
    for role in Role.values:
        members.put(dataset, role, role)
    return House(people, dataset)
