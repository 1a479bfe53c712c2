"""Members, slugs, deleting with undo, many images at once: what the services promise."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from searchapp.models import (
    Dataset,
    Image,
    ImageState,
    ImportItem,
    ImportJob,
    ItemState,
    JobState,
    Membership,
    Role,
    SourceKind,
    VectorCleanup,
)
from searchapp.services.datasets import dataset_deletion, dataset_service, members
from searchapp.services.errors import Conflict, Gone, Invalid, ServiceError
from searchapp.services.images import bulk_actions, image_deletion
from searchapp.services.images.bulk_actions import Change, change_of
from searchapp.services.images.moves import finish_moves
from searchapp.services.images.selection import of_filter, of_keys
from searchapp.services.imports import control, job_progress, step
from searchapp.services.imports.options import ImportOptions
from searchapp.services.imports.sources import source_of
from searchapp.services.ingest import claims
from searchapp.services.operations import cleanup
from tests.factories import add_image, add_rows
from tests.permissions.conftest import House

DAY = timedelta(days=1, minutes=11)


def code(error: pytest.ExceptionInfo[ServiceError]) -> str:
    return error.value.code


class Forgetful:
    """A vector store that remembers only what it was told to forget."""

    def __init__(self) -> None:
        self.forgotten: list[int] = []

    def delete(self, name: str, ids: list[int]) -> None:
        self.forgotten += ids

    def drop(self, name: str) -> None:
        self.forgotten.append(0)


@pytest.fixture
def milvus(monkeypatch: pytest.MonkeyPatch) -> Forgetful:
    vector_store = Forgetful()
    monkeypatch.setattr(cleanup, "get_store", lambda: vector_store)
    return vector_store


# --- Members -----------------------------------------------------------------------------------


def test_roles_are_given_changed_and_taken(house: House) -> None:
    dataset, outsider = house.dataset, house.user("outsider")
    members.add(dataset, "outsider", Role.VIEWER)
    assert dataset.role_of(outsider) == Role.VIEWER
    members.put(dataset, "outsider", Role.EDITOR)
    assert dataset.may_edit(outsider)
    with pytest.raises(Conflict) as twice:
        members.add(dataset, "outsider", Role.VIEWER)
    assert code(twice) == "already_member"
    members.remove(dataset, "outsider")
    assert dataset.role_of(outsider) is None
    with pytest.raises(ServiceError) as gone:
        members.remove(dataset, "outsider")
    assert code(gone) == "not_a_member"


def test_only_people_and_roles_that_exist(house: House) -> None:
    for username, role, error_code in [
        ("nobody", "viewer", "unknown_user"),
        ("viewer", "king", "invalid_role"),
    ]:
        with pytest.raises(Invalid) as refused:
            members.put(house.dataset, username, role)
        assert code(refused) == error_code


def test_whom_it_belongs_to_stays_owner_until_it_is_handed_over(house: House) -> None:
    dataset, holder = house.dataset, house.user("holder")
    for attempt in (
        lambda: members.put(dataset, "holder", Role.VIEWER),
        lambda: members.remove(dataset, "holder"),
        lambda: members.transfer(dataset, "holder"),
    ):
        with pytest.raises(Conflict) as refused:
            attempt()
        assert code(refused) == "is_holder"
    stale = Dataset.objects.get(pk=dataset.pk)
    members.transfer(dataset, "editor")
    fresh = Dataset.objects.get(pk=dataset.pk)
    assert fresh.owner == house.user("editor")
    assert fresh.role_of(holder) == Role.OWNER
    assert not Membership.objects.filter(dataset=dataset, user=fresh.owner).exists()
    with pytest.raises(Conflict) as late:  # somebody who still saw the former one
        members.transfer(stale, "viewer")
    assert code(late) == "changed_meanwhile"


# --- Slugs -------------------------------------------------------------------------------------


def test_former_slugs_lead_to_the_dataset_until_somebody_takes_them(house: House) -> None:
    dataset = house.dataset
    dataset_service.change_dataset(dataset, slug="post")
    dataset_service.change_dataset(dataset, slug="mail")
    for slug in ("letters", "post", "mail"):
        assert Dataset.objects.named(slug) == dataset
    dataset_service.change_dataset(dataset, slug="letters")  # and back again
    assert Dataset.objects.get(slug="letters") == dataset
    successor = dataset_service.create_dataset(name="x", slug="mail", owner=dataset.owner)
    assert Dataset.objects.named("mail") == successor
    # A slug made from a name takes nobody's addresses over.
    assert dataset_service.create_dataset(name="Post", owner=dataset.owner).slug == "post-2"
    with pytest.raises(Conflict) as refused:
        dataset_service.change_dataset(successor, slug="letters")
    assert code(refused) == "slug_taken"


# --- Deleting ----------------------------------------------------------------------------------


def test_a_deleted_dataset_comes_back_whole(house: House) -> None:
    dataset = house.dataset
    image = add_image(dataset)
    job = ImportJob.objects.create(dataset=dataset, total=1, is_open=True)
    with pytest.raises(Invalid) as wrong:
        dataset_deletion.check_number(dataset, 2)
    assert code(wrong) == "wrong_number"
    dataset_deletion.check_number(dataset, 1)
    dataset_deletion.delete_dataset(dataset)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    for who in house.people.values():
        assert not Dataset.objects.visible_to(who).filter(pk=dataset.pk).exists()
    assert list(dataset_deletion.deleted_for(house.user("owner"))) == [dataset]
    assert not dataset_deletion.deleted_for(house.user("editor")).exists()
    with pytest.raises(Gone):
        dataset_deletion.delete_dataset(dataset)
    # Its slug was free: somebody has it by now.
    dataset_service.create_dataset(name="Letters", owner=house.user("outsider"))
    gone = Dataset.objects.get(pk=dataset.pk)
    assert dataset_deletion.restore_dataset(gone).slug == "letters-2"
    assert Image.objects.visible_to(house.user("viewer")).get() == image


def test_after_a_day_a_dataset_goes_in_small_steps(
    house: House,
    milvus: Forgetful,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: object,
) -> None:
    monkeypatch.setattr(image_deletion.purge_of, "__defaults__", (3,))
    dataset = house.dataset
    image = add_image(dataset)
    add_rows(dataset, 7)
    job = ImportJob.objects.create(dataset=dataset, total=1, state=JobState.FINISHED)
    ImportItem.objects.create(job=job, position=0, name="a", state="ready", image=image)
    dataset_deletion.delete_dataset(dataset)
    assert not dataset_deletion.purge()
    assert Dataset.objects.filter(pk=dataset.pk).exists()
    Dataset.objects.filter(pk=dataset.pk).update(deleted=timezone.now() - DAY)
    with pytest.raises(Gone) as late:
        dataset_deletion.restore_dataset(Dataset.objects.get(pk=dataset.pk))
    assert code(late) == "gone_for_good"
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert dataset_deletion.purge(seconds=-1)  # no time: one chunk, and there is more
        assert Image.objects.filter(dataset=dataset).count() == 5
        assert not dataset_deletion.purge()
    assert not Dataset.objects.filter(pk=dataset.pk).exists()
    assert not ImportItem.objects.exists()
    assert not default_storage.exists(
        f"originals/{image.sha256[:2]}/{image.sha256[2:4]}/{image.sha256}"
    )
    assert 0 in milvus.forgotten  # the whole collection


def test_deleted_images_are_forgotten_and_come_back_as_received(
    house: House, milvus: Forgetful, django_capture_on_commit_callbacks: object
) -> None:
    dataset = house.dataset
    image, other = add_image(dataset), add_image(dataset)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        image_deletion.delete_image(image)
    assert milvus.forgotten == [image.pk]
    assert not Image.objects.visible_to(house.user("holder")).filter(pk=image.pk).exists()
    assert image_deletion.restore(dataset.pk, [image.pk, other.pk]) == 1
    image.refresh_from_db()
    assert (image.state, image.deleted_at) == (ImageState.RECEIVED, None)
    other.refresh_from_db()
    assert other.state == ImageState.READY


def test_what_comes_back_while_it_is_forgotten_is_embedded_once_more(
    house: House, milvus: Forgetful
) -> None:
    """Milvus was down, the image came back and was embedded, and only then the list is done."""
    image = add_image(house.dataset)
    VectorCleanup.objects.create(
        collection=house.dataset.active_index.collection, image_id=image.pk
    )
    cleanup.forget_vectors()
    image.refresh_from_db()
    assert image.state == ImageState.RECEIVED


def test_bringing_back_takes_an_image_off_the_list_to_forget(house: House) -> None:
    image = add_image(house.dataset)
    image_deletion.delete_image(image)
    assert VectorCleanup.objects.exists()
    image_deletion.restore(house.dataset.pk, [image.pk])
    assert not VectorCleanup.objects.exists()


def test_a_worker_that_held_a_deleted_image_does_not_bring_it_back(house: House) -> None:
    image = add_image(house.dataset, state=ImageState.RECEIVED)
    (claimed_image,) = claims.claim(1)
    image_deletion.delete_image(image)
    assert claims.finish([claimed_image], into=[]) == [image.pk]
    image.refresh_from_db()
    assert image.state == ImageState.DELETED


def test_images_are_purged_a_day_later_and_shared_files_stay(
    house: House, milvus: Forgetful, django_capture_on_commit_callbacks: object
) -> None:
    other = dataset_service.create_dataset(name="Other", owner=house.user("holder"))
    image, twin, back = add_image(house.dataset, b"x"), add_image(other, b"x"), add_image(other)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        for one in (image, back):
            image_deletion.delete_image(one, timezone.now() - DAY)
        Image.objects.filter(pk=back.pk).update(state=ImageState.READY)  # sent again meanwhile
        assert image_deletion.purge() == 1
    assert set(Image.objects.values_list("pk", flat=True)) == {twin.pk, back.pk}
    assert default_storage.exists(f"originals/{twin.sha256[:2]}/{twin.sha256[2:4]}/{twin.sha256}")
    with pytest.raises(Gone):
        image_deletion.restore_image(image)


# --- Many at once ------------------------------------------------------------------------------


def test_label_tags_delete_and_undo(house: House) -> None:
    dataset, user = house.dataset, house.user("editor")
    rows = add_rows(dataset, 4)
    some = of_keys(row.pk for row in rows[:3])
    assert (
        bulk_actions.carry_out(dataset, some, change_of("label", label=" cat "), user=user).number
        == 3
    )
    assert Image.objects.filter(label="cat").count() == 3
    bulk_actions.carry_out(dataset, some, change_of("tags", add="red, old,red"), user=user)
    bulk_actions.carry_out(dataset, some, change_of("tags", add=["new"], remove="old"), user=user)
    assert Image.objects.get(pk=rows[0].pk).tags == ["red", "new"]
    of_label = of_filter("ready", "cat")
    outcome = bulk_actions.carry_out(dataset, of_label, change_of("delete"), user=user)
    assert outcome.number == 3
    image_deletion.delete(dataset.pk, [rows[3].pk])  # another deletion, which the undo leaves alone
    moment = Image.objects.get(pk=rows[0].pk).deleted_at
    assert moment is not None
    assert bulk_actions.undo_deletion(dataset, moment, user=user).number == 3
    assert Image.objects.there().count() == 3


def test_others_datasets_are_never_touched(house: House) -> None:
    other = dataset_service.create_dataset(name="Other", owner=house.user("holder"))
    (row,) = add_rows(other, 1)
    for action in ("delete", "label", "restore"):
        change = change_of(action, label="x")
        done = bulk_actions.carry_out(
            house.dataset, of_keys([row.pk]), change, user=house.user("owner")
        )
        assert done.number == 0
    assert Image.objects.get(pk=row.pk).label == ""


@pytest.mark.parametrize("action", ["delete", "label", "tags", "restore"])
def test_statements_do_not_grow_with_images(house: House, action: str) -> None:
    change = change_of(action, label="x", add="a")
    used = []
    for number in (2, 200):
        dataset = dataset_service.create_dataset(name=f"{number}", owner=house.user("holder"))
        rows = add_rows(dataset, number)
        if action == "restore":
            image_deletion.delete(dataset.pk, [row.pk for row in rows])
        with CaptureQueriesContext(
            connection,
        ) as queries:
            bulk_actions.carry_out(
                dataset,
                of_filter("deleted" if action == "restore" else "ready"),
                change,
                user=house.user("holder"),
            )
        used.append(len(queries))
    assert used[1] <= used[0] + 2


def test_many_become_a_job_that_means_what_was_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "AT_ONCE", 3)
    dataset = house.dataset
    rows = add_rows(dataset, 5)
    outcome = bulk_actions.carry_out(
        dataset, of_filter("ready"), change_of("label", label="x"), user=house.user("editor")
    )
    assert outcome.job is not None
    assert (outcome.number, outcome.job.kind) == (5, SourceKind.DATASET)
    late = add_image(dataset)
    source = source_of(outcome.job.sources.get(), ImportOptions())
    listed = list(source.list(""))
    assert [one.locator["image"] for one in listed] == [row.pk for row in rows]
    assert [one.locator["image"] for one in source.list(listed[2].cursor)] == [
        row.pk for row in rows[3:]
    ]
    assert late.pk not in {one.locator["image"] for one in listed}


@pytest.mark.parametrize("action", ["delete", "label"])
def test_a_job_changes_images_where_they_are(
    house: House, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setattr(bulk_actions, "AT_ONCE", 3)
    monkeypatch.setattr(step, "CHUNK", 2)
    dataset = house.dataset
    add_rows(dataset, 5)
    outcome = bulk_actions.carry_out(
        dataset, of_filter("ready"), change_of(action, label="x"), user=house.user("editor")
    )
    assert outcome.job is not None
    while step.advance():
        pass
    job = ImportJob.objects.get(pk=outcome.job.pk)
    assert (job.state, job.total) == (JobState.FINISHED, 5)
    done: dict[str, dict[str, str]] = {
        "label": {"label": "x"},
        "delete": {"state": ImageState.DELETED},
    }
    assert Image.objects.filter(dataset=dataset, **done[action]).count() == 5


def test_a_copy_has_all_that_was_said_of_the_picture(house: House) -> None:
    user = house.user("editor")
    image = add_image(house.dataset, title="T", label="L", tags=["a"], metadata={"b": 1})
    target = dataset_service.create_dataset(name="Target", owner=user)
    bulk_actions.copy(house.dataset, of_keys([image.pk]), target, user=user)
    while step.advance():
        pass
    duplicate = Image.objects.get(dataset=target)
    assert duplicate.sha256 == image.sha256
    assert (duplicate.title, duplicate.label, duplicate.tags, duplicate.metadata) == (
        "T",
        "L",
        ["a"],
        {"b": 1},
    )
    assert duplicate.state == ImageState.RECEIVED


def test_a_moved_picture_leaves_when_its_copy_is_ready(house: House) -> None:
    source, user = house.dataset, house.user("editor")
    target = dataset_service.create_dataset(name="Target", owner=user)
    ready, failed = add_image(source), add_image(source)
    outcome = bulk_actions.copy(source, of_filter("ready"), target, user=user, move=True)
    job = outcome.job
    assert job is not None
    for place, (image, state) in enumerate([(ready, ItemState.READY), (failed, ItemState.FAILED)]):
        ImportItem.objects.create(
            job=job, position=place, name="a", state=state, locator={"image": image.pk}
        )
    job.sources.update(is_listed=True)
    assert job_progress.settle([job.pk]) == 0  # an image whose copy is ready is still there
    assert finish_moves() == 1
    assert list(Image.objects.there().filter(dataset=source)) == [failed]
    job.refresh_from_db()
    assert job.state == JobState.FINISHED_WITH_ERRORS
    assert finish_moves() == 0
    # What failed is tried again: then it leaves, too.
    job_progress.reopen([job.pk])
    job.items.update(state=ItemState.READY)
    assert finish_moves() == 1
    assert not Image.objects.there().filter(dataset=source).exists()
    job.refresh_from_db()
    assert job.state == JobState.FINISHED


def test_a_cancelled_move_takes_nothing_more(house: House) -> None:
    source, user = house.dataset, house.user("editor")
    target = dataset_service.create_dataset(name="Target", owner=user)
    image = add_image(source)
    job = bulk_actions.copy(source, of_filter("ready"), target, user=user, move=True).job
    assert job is not None
    ImportItem.objects.create(
        job=job, position=0, name="a", state=ItemState.READY, locator={"image": image.pk}
    )
    control.cancel(job)
    assert finish_moves() == 0
    assert list(Image.objects.there().filter(dataset=source)) == [image]


def test_copying_asks_who_may_look(house: House) -> None:
    target = dataset_service.create_dataset(name="Mine", owner=house.user("outsider"))
    with pytest.raises(Invalid) as refused:
        bulk_actions.copy(house.dataset, of_filter("ready"), target, user=house.user("outsider"))
    assert code(refused) == "unknown_dataset"
    hidden = add_image(house.dataset, state=ImageState.REJECTED)
    shown = add_image(house.dataset)
    copied = bulk_actions.copy_dataset(house.dataset, name="Copy", user=house.user("viewer"))
    source = source_of(copied[1].sources.get(), ImportOptions())
    assert [one.locator["image"] for one in source.list("")] == [shown.pk]
    assert hidden.state == ImageState.REJECTED
    assert copied[0].active_index.fingerprint == house.dataset.active_index.fingerprint


@pytest.mark.slow
@given(st.text(max_size=300), st.lists(st.text(max_size=80), max_size=80))
def test_whatever_is_typed_is_kept_or_refused_in_words(label: str, tags: list[str]) -> None:
    change = None
    with suppress(Invalid):
        change = change_of("tags", label=label, add=tags, remove=tags)
    if change is not None:
        assert Change.from_dict(change.to_dict()) == change
        assert all(tag == tag.strip() and tag for tag in change.add)
