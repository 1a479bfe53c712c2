"""Three people and what they own: each permission can be asked of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import Client

from searchapp.models import Dataset
from searchapp.services.datasets.dataset_service import create_dataset


class ReadingClient(Client):
    """Reads what is streamed, so that no file stays open; `answer.getvalue()` has it."""

    def request(self, **request: Any) -> Any:
        answer: Any = super().request(**request)
        if isinstance(answer, StreamingHttpResponse):
            answer.streaming_content = [answer.getvalue()]
            answer.close()
        return answer


@dataclass
class House:
    """A public and a private dataset of one owner, and people around them."""

    owner: User
    outsider: User
    public: Dataset
    private: Dataset

    def client(self, who: str) -> Client:
        client = ReadingClient()
        if who != "anonymous":
            client.force_login(getattr(self, who))
        return client


@pytest.fixture
def house(db: None) -> House:
    owner = User.objects.create_user("owner")
    return House(
        owner=owner,
        outsider=User.objects.create_user("outsider"),
        public=create_dataset(name="Birds", owner=owner, visibility="public"),
        private=create_dataset(name="Letters", owner=owner),
    )
