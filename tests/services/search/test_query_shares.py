"""Query pictures are kept within limits: of a client, of all, and of the disk."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.test import Client

from searchapp.infra import disk_space, queue, storage
from searchapp.models import Query
from searchapp.services import query_rpc
from searchapp.services.errors import BadPicture, ServiceError
from searchapp.services.search.stored_queries import ask_upload, keep
from tests.factories import hashed_upload

pytestmark = pytest.mark.django_db


def kept(client: str, size: int = 1000, seed: int = 0) -> Query:
    content = bytes([seed % 256, seed // 256]) + client.encode().ljust(size - 2, b"x")
    with hashed_upload(content) as upload:
        return keep(upload, None, client)


def test_a_client_loses_its_own_oldest_pictures(settings: Any) -> None:
    settings.MAX_QUERY_BYTES = 10 * 3000
    other = kept("other")
    mine = [kept("mine", seed=number) for number in range(5)]
    assert list(Query.objects.filter(client="mine").order_by("created")) == mine[2:]
    assert Query.objects.filter(pk=other.pk).exists()
    assert [storage.query_bytes(query.sha256) for query in mine] == [None, None, 1000, 1000, 1000]


def test_all_together_lose_the_oldest(settings: Any) -> None:
    settings.MAX_QUERY_BYTES = 5000
    queries = [kept(f"client {number}", 400) for number in range(20)]
    left = list(Query.objects.order_by("created"))
    assert left == queries[-12:]


def test_one_that_is_larger_than_the_share_is_kept_alone(settings: Any) -> None:
    settings.MAX_QUERY_BYTES = 1000
    kept("mine", 500)
    large = kept("mine", 5000)
    assert list(Query.objects.all()) == [large]


def test_what_is_no_picture_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker looks before there is a row; nothing is left of what it refuses."""

    def refuse(sha256: str) -> None:
        assert storage.query_bytes(sha256) == 300
        raise query_rpc.refused("not_a_picture", "This is no picture.")

    monkeypatch.setattr(query_rpc, "ask_thumbnail", refuse)
    with hashed_upload(b"?" * 300) as upload:
        sha256 = upload.sha256
        with pytest.raises(BadPicture):
            ask_upload(upload, None, "mine")  # type: ignore[arg-type]
    assert not Query.objects.exists()
    assert storage.query_bytes(sha256) is None


@pytest.mark.parametrize("path", ["/search/", "/compare/"])
def test_pages_keep_nothing_while_nobody_can_look(path: str) -> None:
    file = BytesIO(b"?" * 300)
    file.name = "a.png"
    answer = Client().post(path, {"picture": file})
    assert answer.status_code == 503
    assert not Query.objects.exists()
    with pytest.raises(queue.QueueUnavailable):
        queue.ping()


def test_a_full_disk_is_said_by_api_and_page(settings: Any) -> None:
    settings.MIN_FREE_BYTES = 2**50
    file = BytesIO(b"x")
    file.name = "a.png"
    answer = Client().post("/api/v1/search/", {"image": file})
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    file.seek(0)
    page = Client().post("/search/", {"picture": file})
    assert page.status_code == 507
    assert "disk of the server is full" in page.content.decode()


def test_storing_asks_for_room_first(settings: Any) -> None:
    with hashed_upload(b"x" * 1000) as upload:
        settings.MIN_FREE_BYTES = 2**50
        with pytest.raises(disk_space.StorageFull):
            storage.put_original(upload)
        with pytest.raises(ServiceError) as refused:
            keep(upload, None, "mine")
    assert (refused.value.code, refused.value.status) == ("storage_full", 507)
    assert not Query.objects.exists()
