"""The pages of imports: all that one may see, one with its ledger, and what can be done with it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from searchapp.models import ImportItem, ImportJob, ImportSource, ItemState, JobState, Membership
from searchapp.pages.imports import ledger
from searchapp.pages.imports.jobs import PAGE
from searchapp.services.operations import worker_health
from tests.factories import add_rows
from tests.pages.conftest import House

HTMX = {"HX-Request": "true"}


def add_job(house: House, states: dict[ItemState, int], **fields: Any) -> ImportJob:
    """A job with a row a file: first so many in one state, then in the next."""
    every = [state for state, number in states.items() for _ in range(number)]
    values = {"dataset": house.private, "user": house.owner, "total": len(every), "name": "a.zip"}
    job = ImportJob.objects.create(**(values | fields))
    bad = {ItemState.REJECTED: "not_a_picture", ItemState.FAILED: "internal_error"}
    ImportItem.objects.bulk_create(
        ImportItem(
            job=job, position=place, name=f"folder/{place:05d}.jpg", state=state,
            error_code=bad.get(state, ""), error_detail="So it is." if state in bad else "",
        )
        for place, state in enumerate(every)
    )  # fmt: skip
    return job


def names(page: str) -> list[int]:
    return [
        int(number) for number in re.findall(r"folder/(\d{5})\.jpg", page.split('id="ledger"')[1])
    ]


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def test_nothing_yet_teaches_one_sentence(house: House) -> None:
    page = text(house.client("outsider").get(reverse("jobs")))
    assert "Whenever you add pictures to a dataset" in page
    assert "Choose a dataset" in page


def test_the_list_says_how_far_each_is(house: House) -> None:
    minute = timezone.now() - timedelta(minutes=1)
    add_job(
        house, {ItemState.READY: 30, ItemState.REJECTED: 2, ItemState.RECEIVED: 68},
        state=JobState.RUNNING, resumed=minute,
    )  # fmt: skip
    page = text(house.client("owner").get(reverse("jobs")))
    assert "30 of 100 ready, 2 rejected" in page
    assert re.search(r"0\.5 files a second · about \d minutes left", page)
    assert 'class="bad" x="300" width="20"' in page


def test_pages_of_the_list_cost_the_same(house: House) -> None:
    for _ in range(PAGE + 3):
        add_job(house, {}, state=JobState.FINISHED, counts={"ready": 0})
    client = house.client("owner")
    with CaptureQueriesContext(
        connection,
    ) as few:
        first = text(client.get(reverse("jobs")))
    assert len(few) < 12
    assert len(set(re.findall(r"/jobs/[0-9a-f-]{36}/", first))) == PAGE
    older = re.search(r'href="([^"]+before=[^"]+)"', first)
    assert older is not None
    rest = text(client.get(older[1]))
    assert len(set(re.findall(r"/jobs/[0-9a-f-]{36}/", rest))) == 3
    assert "hx-get" not in rest  # what one looks back at stays as it is


def test_members_who_may_edit_see_the_jobs_of_a_dataset(house: House) -> None:
    job = add_job(house, {ItemState.READY: 1})
    url = reverse("job", args=[job.pk])
    client = house.client("outsider")
    membership = Membership.objects.create(
        dataset=house.private, user=house.outsider, role="viewer"
    )
    assert client.get(url).status_code == 404
    membership.role = "editor"
    membership.save()
    assert client.get(url).status_code == 200
    assert url in text(client.get(reverse("jobs")))


@pytest.mark.parametrize("name", ["job-items", "job-ledger"])
def test_a_ledger_is_not_for_strangers(house: House, name: str) -> None:
    job = add_job(house, {ItemState.READY: 1})
    assert house.client("outsider").get(reverse(name, args=[job.pk])).status_code == 404
    assert house.client("owner").get(reverse(name, args=[job.pk])).status_code == 200


def test_a_job_is_asked_about_until_it_is_over(house: House) -> None:
    job = add_job(house, {ItemState.READY: 1, ItemState.RECEIVED: 1}, state=JobState.RUNNING)
    client, url = house.client("owner"), reverse("job", args=[job.pk])
    assert f'hx-get="{url}' in text(client.get(url))
    first = client.get(url, headers=HTMX)
    seen = re.search(r"\?seen=(\w+)", text(first))
    assert seen is not None
    assert client.get(url, {"seen": seen[1]}, headers=HTMX).status_code == 204  # nothing is new
    job.items.update(state=ItemState.READY)
    assert client.get(url, {"seen": seen[1]}, headers=HTMX).status_code == 200
    ImportJob.objects.filter(pk=job.pk).update(state=JobState.FINISHED)
    last = client.get(url, headers=HTMX)
    assert last.status_code == 286  # htmx's word for 'ask no more'
    assert last["HX-Trigger"] == "job-ended"
    assert "2 of 2 ready" in text(last)
    assert 'hx-trigger="every' not in text(client.get(url))


def test_the_ledger_in_pages(house: House) -> None:
    number = ledger.PAGE * 2 + 5
    job = add_job(house, {ItemState.READY: number}, state=JobState.FINISHED)
    client, url = house.client("owner"), reverse("job", args=[job.pk])
    numbers: list[int] = []
    address = url
    for _ in range(3):
        page = client.get(address).content.decode()
        numbers += names(page)
        following = re.search(r'class="button" href="([^"]+)">Next files', page)
        address = following[1].replace("&amp;", "&") if following else ""
    assert numbers == list(range(number))
    assert address == ""
    turned = names(client.get(url, {"order": "last"}).content.decode())
    assert turned == list(range(number - 1, number - 1 - ledger.PAGE, -1))


def test_the_ledger_by_outcome_reason_and_name(house: House) -> None:
    job = add_job(
        house,
        {ItemState.READY: 3, ItemState.REJECTED: 2, ItemState.FAILED: 1, ItemState.WAITING: 2},
        state=JobState.RUNNING,
    )
    client, url = house.client("owner"), reverse("job", args=[job.pk])

    def asked(**query: str) -> list[int]:
        return names(client.get(url, query).content.decode())

    assert asked(state="rejected") == [3, 4]
    assert asked(state="waiting") == [6, 7]
    assert asked(code="internal_error") == [5]
    assert asked(code="internal_error", state="rejected") == []
    assert asked(name="0000") == list(range(8))
    assert asked(name="00002") == [2]
    assert asked(name="%") == []  # a sign of the database's is a letter like any other
    assert asked(state="nonsense", after="x", order="up") == list(range(8))
    assert asked(after="9" * 30) == list(range(8))
    page = text(client.get(url, {"state": "rejected"}))
    assert 'Rejected <span class="numbers quiet">2</span>' in page
    assert "every 2s" not in page  # what was filtered does not move


@pytest.mark.slow
def test_ten_thousand_rows_take_no_more_statements_than_ten(house: House) -> None:
    client = house.client("owner")

    def statements(number: int) -> int:
        job = add_job(house, {ItemState.READY: number, ItemState.REJECTED: 2})
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse("job", args=[job.pk])).status_code == 200
        return len(queries)

    assert statements(10_000) == statements(10) < 20


def test_names_are_text_wherever_they_stand(house: House) -> None:
    job = add_job(house, {ItemState.REJECTED: 1}, name="<b>bold</b>")
    ImportSource.objects.create(
        job=job, kind="archive", name="<i>x</i>", location="x", error_code="x", error_detail="<u>"
    )
    ImportItem.objects.update(name="<script>alert(1)</script>", error_detail="<em>")
    page = text(house.client("owner").get(reverse("job", args=[job.pk])))
    for trap in ("<b>bold", "<i>x", "<u>", "<script>alert", "<em>"):
        assert trap not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_ledger_as_a_table(house: House) -> None:
    job = add_job(house, {ItemState.READY: 2, ItemState.REJECTED: 1})
    answer = house.client("owner").get(reverse("job-ledger", args=[job.pk]))
    assert answer["Content-Type"].startswith("text/csv")
    assert str(job.pk) in answer["Content-Disposition"]
    lines = answer.getvalue().decode().splitlines()
    assert len(lines) == 4
    assert "not_a_picture" in lines[3]


def test_a_job_is_paused_resumed_and_cancelled(house: House) -> None:
    job = add_job(house, {ItemState.WAITING: 3}, state=JobState.RUNNING)
    client = house.client("owner")

    def act(action: str, **headers: str) -> Any:
        return client.post(reverse("job-act", args=[job.pk, action]), headers=headers)

    def state() -> str:
        return str(ImportJob.objects.values_list("state", flat=True).get(pk=job.pk))

    assert act("pause")["Location"] == reverse("job", args=[job.pk])
    assert state() == JobState.PAUSED
    assert "Go on" in text(client.get(reverse("job", args=[job.pk])))
    again = act("pause", **HTMX)
    assert again.status_code == 200
    assert "it cannot be paused" in text(again)
    assert "Pause" in text(act("resume", **HTMX))
    assert state() == JobState.RUNNING
    act("cancel")
    assert state() == JobState.CANCELLED
    assert set(job.items.values_list("state", flat=True)) == {ItemState.CANCELLED}
    assert client.get(reverse("job-act", args=[job.pk, "pause"])).status_code == 405


def test_what_failed_is_tried_again(house: House) -> None:
    image, *_ = add_rows(house.private, 1)
    image.state = "failed"
    image.save()
    job = add_job(house, {ItemState.FAILED: 1}, state=JobState.FINISHED_WITH_ERRORS)
    job.items.update(image=image)
    client = house.client("owner")
    assert "Retry failed" in text(client.get(reverse("job", args=[job.pk])))
    client.post(reverse("job-act", args=[job.pk, "retry"]))
    assert job.items.get().state == ItemState.RECEIVED
    assert ImportJob.objects.get().state == JobState.RUNNING


def test_who_may_look_may_not_act(house: House) -> None:
    """An editor of once sees what they sent, and has no say any more."""
    job = add_job(house, {ItemState.WAITING: 1}, state=JobState.RUNNING, user=house.outsider)
    client = house.client("outsider")
    page = text(client.get(reverse("job", args=[job.pk])))
    assert "Cancel" not in page
    assert client.post(reverse("job-act", args=[job.pk, "cancel"])).status_code == 404
    assert ImportJob.objects.get().state == JobState.RUNNING


def test_without_redis_the_page_says_so(house: House, settings: Any) -> None:
    """Redis is not there in these tests."""
    work = worker_health.snapshot()
    assert (work.redis, work.pools, work.is_well, work.rate) == (False, (), False, 0.0)
    page = text(house.client("owner").get(reverse("jobs")))
    assert "Redis cannot be reached" in page


def test_what_waits_is_counted(house: House) -> None:
    states = {ItemState.WAITING: 4, ItemState.RECEIVED: 1, ItemState.PROCESSING: 1}
    add_job(house, states, state=JobState.RUNNING)
    add_job(house, states, state=JobState.CANCELLED)
    work = worker_health.snapshot()
    assert (work.images, work.files) == (2, 4)


def test_superusers_see_all(house: House) -> None:
    job = add_job(house, {})
    house.outsider.is_superuser = True
    house.outsider.save()
    page = text(house.client("outsider").get(reverse("jobs")))
    assert str(job.pk) in page
    assert "by owner" in page
    assert User.objects.count() == 2
