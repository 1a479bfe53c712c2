"""Who may look at indexes, and who may do something with them: pages and API."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from searchapp.models import AuditReport, Dataset, Index, IndexState, Membership, Role
from searchapp.services.datasets.dataset_service import create_dataset

OTHER = "image-embedding-efficientnet-lite0:exact"
PEOPLE = ("owner", "editor", "viewer", "outsider", "anonymous")


@pytest.fixture
def people(db: None) -> dict[str, Client]:
    users = {name: User.objects.create_user(name) for name in PEOPLE[:-1]}
    dataset = create_dataset(name="Birds", owner=users["owner"])
    for name, role in (("editor", Role.EDITOR), ("viewer", Role.VIEWER)):
        Membership.objects.create(dataset=dataset, user=users[name], role=role)
    clients = {name: Client() for name in PEOPLE}
    for name, user in users.items():
        clients[name].force_login(user)
    return clients


@pytest.fixture
def second(people: dict[str, Client]) -> Index:
    return Index.objects.create(
        dataset=Dataset.objects.get(), state=IndexState.READY, pipeline=OTHER, recipe={},
        fingerprint="a" * 64, dimension=4,
    )  # fmt: skip


def statuses(people: dict[str, Client], address: str, post: bool = False) -> list[int]:
    return [
        (client.post(address) if post else client.get(address)).status_code
        for client in people.values()
    ]


def test_pages_are_for_editors_and_actions_for_owners(
    people: dict[str, Client], second: Index
) -> None:
    look = [200, 200, 403, 404, 302]
    act = [200, 403, 403, 404, 302]
    assert statuses(people, "/datasets/birds/indexes/") == look
    assert statuses(people, "/datasets/birds/indexes/compare/") == look
    for action in ("activate", "retire"):
        assert statuses(people, f"/datasets/birds/indexes/{second.pk}/{action}/") == act
    rest = {name: client for name, client in people.items() if name != "owner"}
    address = f"/datasets/birds/indexes/{second.pk}/activate/"
    assert statuses(rest, address, post=True) == [403, 403, 404, 302]
    assert statuses(rest, "/datasets/birds/indexes/", post=True) == [403, 403, 404, 302]
    second.refresh_from_db()
    assert second.state == IndexState.READY
    assert Index.objects.count() == 2


def test_the_api_says_the_same(people: dict[str, Client], second: Index) -> None:
    look = [200, 200, 403, 404, 404]
    assert statuses(people, "/api/v1/datasets/birds/indexes/") == look
    assert statuses(people, f"/api/v1/indexes/{second.pk}/") == look
    rest = {name: client for name, client in people.items() if name != "owner"}
    for address in ("datasets/birds/indexes/rollback", f"indexes/{second.pk}/activate"):
        assert statuses(rest, f"/api/v1/{address}/", post=True) == [403, 403, 404, 401]
    assert statuses(people, "/api/v1/pipelines/") == [200] * 5


def test_an_owner_activates_and_goes_back_by_forms(
    people: dict[str, Client], second: Index
) -> None:
    owner, dataset = people["owner"], Dataset.objects.get()
    first = dataset.active_index
    assert owner.post(f"/datasets/birds/indexes/{second.pk}/activate/").status_code == 302
    assert dataset.active_index == second
    page = owner.get("/datasets/birds/indexes/").content.decode()
    assert "Roll back to it" in page
    assert owner.post(f"/datasets/birds/indexes/{first.pk}/activate/").status_code == 302
    assert dataset.active_index == first
    refused = owner.post(f"/datasets/birds/indexes/{first.pk}/retire/")
    assert refused.status_code == 409
    assert "This index is active" in refused.content.decode()


def test_another_datasets_index_is_not_there(people: dict[str, Client], second: Index) -> None:
    create_dataset(name="Fish", owner=User.objects.get(username="owner"))
    address = f"/datasets/fish/indexes/{second.pk}/activate/"
    assert people["owner"].post(address).status_code == 404


def test_a_form_without_a_pipeline_says_so_where_it_stands(people: dict[str, Client]) -> None:
    refused = people["owner"].post("/datasets/birds/indexes/")
    assert refused.status_code == 400
    assert 'role="alert"' in refused.content.decode()
    assert Index.objects.count() == 1


def test_audits_are_for_staff(people: dict[str, Client]) -> None:
    User.objects.filter(username="editor").update(is_staff=True)
    assert statuses(people, "/audit/") == [403, 200, 403, 403, 302]
    assert statuses(people, "/api/v1/audits/") == [403, 200, 403, 403, 401]
    begun = people["editor"].post("/audit/", {"repair": "on"})
    report = AuditReport.objects.get()
    assert (begun.status_code, report.repair, report.deep) == (302, True, False)
    assert people["editor"].post("/audit/").status_code == 409
    assert "running" in people["editor"].get(f"/audit/{report.pk}/").content.decode()
    assert people["owner"].get(f"/audit/{report.pk}/").status_code == 403
