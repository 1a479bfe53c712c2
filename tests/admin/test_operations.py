"""The overview, failed tasks, and actions on many rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from searchapp.admin import dashboard
from searchapp.infra import queue
from searchapp.models import FailedTask, Image, ImageState, ImportJob, JobState
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.images import bulk_actions
from searchapp.services.operations import failed_tasks
from tests.factories import add_rows
from worker.runtime import failure_log as signals

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    cache.clear()


@pytest.fixture
def chief() -> User:
    return User.objects.create_superuser("chief")


@pytest.fixture
def staff(chief: User) -> Client:
    client = Client()
    client.force_login(chief)
    return client


def act(staff: Client, model: str, action: str, *keys: object) -> str:
    address = reverse(f"admin:searchapp_{model}_changelist")
    form = {"action": action, "_selected_action": list(keys)}
    page = staff.post(address, form, follow=True)
    return " ".join(str(message) for message in page.context["messages"])


def test_the_overview_tells_states_and_days(staff: Client, chief: User) -> None:
    rows = add_rows(create_dataset(name="Pictures", owner=chief), 6)
    Image.objects.filter(pk__lte=rows[1].pk).update(created=timezone.now() - timedelta(days=3))
    Image.objects.filter(pk=rows[5].pk).update(state=ImageState.FAILED)
    page = staff.get("/admin/")
    states = {state["name"]: state["number"] for state in page.context["states"]}
    assert (states["ready"], states["failed"], page.context["total"]) == (5, 1, 6)
    received = dashboard._received(
        timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        - timedelta(days=dashboard.DAYS - 1)
    )
    assert received[-4:] == [2, 0, 0, 4]
    assert sum(received) == 6


def test_the_overview_opens_while_redis_is_down(staff: Client) -> None:
    page = staff.get("/admin/").content.decode()
    assert "Redis is down" in page


class _Task:
    name = "ingest.process"

    class request:
        hostname = "ingest@local"


def test_a_failed_task_is_written_down_and_run_again(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(queue, "send", lambda name, **kwargs: sent.append((name, kwargs)))
    signals._write_down(sender=_Task, exception=ValueError("out of luck"), kwargs={"number": 1})
    task = FailedTask.objects.get()
    assert (task.queue, task.error, task.worker) == (
        "ingest",
        "ValueError: out of luck",
        "ingest@local",
    )
    assert "sent again: 1" in act(staff, "failedtask", "run_again", task.pk)
    assert sent == [("ingest.process", {"number": 1})]
    task.refresh_from_db()
    assert task.again is not None


def test_answers_that_nobody_waits_for_are_not_given_again(staff: Client) -> None:
    task = failed_tasks.record("query.embed", keywords={"reply": "x"}, error=ValueError("no"))
    assert "cannot be sent again" in act(staff, "failedtask", "run_again", task.pk)
    odd = failed_tasks.record("ingest.process", keywords={"a": object()}, error=ValueError("no"))
    assert not failed_tasks.can_run_again(odd)


def test_refusals_on_purpose_are_no_failures() -> None:
    signals._write_down(sender=_Task, exception=queue.QueueUnavailable())
    assert not FailedTask.objects.exists()


def test_old_failures_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_tasks, "MAX_KEPT", 3)
    for number in range(5):
        failed_tasks.record("ingest.process", keywords={}, error=ValueError(str(number)))
    assert FailedTask.objects.count() == 3


def test_pictures_are_deleted_and_brought_back(
    staff: Client, chief: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "AT_ONCE", 3)
    rows = add_rows(create_dataset(name="Pictures", owner=chief), 2)
    many = add_rows(create_dataset(name="Many", owner=chief), 5)
    keys = [row.pk for row in [*rows, *many]]
    page = act(staff, "image", "delete_pictures", *keys)
    assert "2 images: done. 1 jobs do it" in page
    assert Image.objects.filter(state=ImageState.DELETED).count() == 2
    act(staff, "image", "bring_back", *keys)
    assert not Image.objects.filter(state=ImageState.DELETED).exists()


def test_jobs_are_steered(staff: Client, chief: User) -> None:
    dataset = create_dataset(name="Pictures", owner=chief)
    job = ImportJob.objects.create(dataset=dataset, total=1, is_open=True, state=JobState.RUNNING)
    for action, state in [("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")]:
        act(staff, "importjob", action, job.pk)
        job.refresh_from_db()
        assert job.state == state
    assert "it cannot be" in act(staff, "importjob", "pause", job.pk)
