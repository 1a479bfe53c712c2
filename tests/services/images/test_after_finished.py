"""A job is finished when its effects are: what is asked for after it is never undone by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User

from searchapp.models import (
    ENDED_JOBS,
    Dataset,
    Image,
    ImageState,
    ImportJob,
    JobState,
    SourceKind,
    VectorCleanup,
)
from searchapp.services.datasets.dataset_service import counts, create_dataset
from searchapp.services.images import bulk_actions, image_deletion, image_edits, moves
from searchapp.services.images.bulk_actions import Action, Change
from searchapp.services.images.selection import of_filter, of_keys
from searchapp.services.imports import creation, job_progress
from searchapp.services.ingest import acceptance
from tests.factories import add_image, hashed_upload
from tests.permissions.conftest import House
from tests.pictures import plain_picture
from tests.services.imports.conftest import run

PICTURE = plain_picture(7)


@dataclass
class Scene:
    """Dataset A with one picture, an empty dataset B, and an editor of both."""

    a: Dataset
    b: Dataset
    image: Image
    user: User


@pytest.fixture
def scene(house: House) -> Scene:
    user = house.user("editor")
    b = create_dataset(name="B", owner=user)
    return Scene(house.dataset, b, add_image(house.dataset, PICTURE, label="old"), user)


# Jobs.


def move(scene: Scene) -> ImportJob | None:
    return bulk_actions.copy(
        scene.a, of_keys([scene.image.pk]), scene.b, user=scene.user, move=True
    ).job


def copy(scene: Scene) -> ImportJob | None:
    return bulk_actions.copy(scene.a, of_keys([scene.image.pk]), scene.b, user=scene.user).job


def delete(scene: Scene) -> ImportJob | None:
    return bulk_actions.carry_out(
        scene.a, of_filter("ready"), Change(Action.DELETE), user=scene.user
    ).job


def restore(scene: Scene) -> ImportJob | None:
    image_deletion.delete_image(scene.image)
    return bulk_actions.carry_out(
        scene.a, of_filter("deleted"), Change(Action.RESTORE), user=scene.user
    ).job


def label(scene: Scene) -> ImportJob | None:
    change = Change(Action.LABEL, label="by job")
    return bulk_actions.carry_out(scene.a, of_filter("ready"), change, user=scene.user).job


def import_again(scene: Scene) -> ImportJob | None:
    job = creation.create(scene.a, user=scene.user, kind=SourceKind.UPLOAD, is_open=True)
    with hashed_upload(PICTURE) as upload:
        creation.add_upload(job, upload, name="again.png")
    creation.close(job)
    return job


JOBS = {
    "move": move, "copy": copy, "delete": delete, "restore": restore, "label": label,
    "import": import_again,
}  # fmt: skip


# What is asked for afterwards, in A; each returns whether that holds.

Check = Callable[[], bool]


def _row(scene: Scene) -> Image | None:
    return scene.a.images.there().filter(sha256=scene.image.sha256).first()


def _image(scene: Scene) -> Image:
    """The picture in A, sent again if a job has taken it away."""
    image = _row(scene)
    if image is None:
        upload(scene)
        image = _row(scene)
    assert image is not None
    return image


def upload(scene: Scene) -> Check:
    with hashed_upload(PICTURE) as file:
        job = acceptance.accept(scene.a, [file], user=scene.user)
    run(job)
    return lambda: (image := _row(scene)) is not None and image.state == ImageState.READY


def edit(scene: Scene) -> Check:
    image_edits.edit_image(_image(scene), {"title": "mine", "label": "mine"})
    return lambda: (image := _row(scene)) is not None and (image.title, image.label) == (
        "mine", "mine",
    )  # fmt: skip


def delete_after(scene: Scene) -> Check:
    image_deletion.delete_image(_image(scene))
    return lambda: _row(scene) is None


def restore_after(scene: Scene) -> Check:
    image = _image(scene)
    image_deletion.delete_image(image)
    image_deletion.restore_image(image)
    return lambda: _row(scene) is not None


def copy_after(scene: Scene) -> Check:
    _image(scene)
    third = create_dataset(name="C", owner=scene.user)
    job = bulk_actions.copy(scene.a, of_filter("ready"), third, user=scene.user).job
    assert job is not None
    run(job)
    return lambda: third.images.there().count() == 1 and _row(scene) is not None


def label_after(scene: Scene) -> Check:
    key = _image(scene).pk
    change = Change(Action.LABEL, label="after")
    bulk_actions.carry_out(scene.a, of_keys([key]), change, user=scene.user)
    return lambda: (image := _row(scene)) is not None and image.label == "after"


AFTERWARDS = {
    "upload": upload, "edit": edit, "delete": delete_after, "restore": restore_after,
    "copy": copy_after, "label": label_after,
}  # fmt: skip


def sweep() -> None:
    """What a sweeper does for jobs, later."""
    moves.finish_moves()
    job_progress.settle_all()


@pytest.mark.parametrize("afterwards", AFTERWARDS)
@pytest.mark.parametrize("begin", JOBS)
def test_what_is_asked_for_after_a_job_stays(
    scene: Scene, begin: str, afterwards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "AT_ONCE", 0)  # every change of many is a job
    job = JOBS[begin](scene)
    assert job is not None
    run(job)
    monkeypatch.undo()
    assert job.state in ENDED_JOBS
    held = AFTERWARDS[afterwards](scene)
    assert held()
    sweep()
    assert held()


def test_while_a_move_is_finished_nothing_is_counted_twice(scene: Scene) -> None:
    job = move(scene)
    assert job is not None
    run(job)
    assert job.state == JobState.FINISHED
    assert (counts(scene.a)["ready"], counts(scene.b)["ready"]) == (0, 1)


def test_a_restoring_job_ends_when_its_pictures_are_searchable(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from searchapp.services.imports import step

    monkeypatch.setattr(bulk_actions, "AT_ONCE", 0)
    job = restore(scene)
    assert job is not None
    while step.advance():
        pass
    job.refresh_from_db()
    scene.image.refresh_from_db()
    assert (scene.image.state, job.state) == (ImageState.RECEIVED, JobState.RUNNING)
    run(job)
    scene.image.refresh_from_db()
    assert (scene.image.state, job.state) == (ImageState.READY, JobState.FINISHED)


def test_a_picture_that_comes_again_keeps_its_new_vector(scene: Scene) -> None:
    """The removal of its old vector, which may still be waiting, is called off."""
    image_deletion.delete_image(scene.image)
    assert VectorCleanup.objects.filter(image_id=scene.image.pk).exists()
    assert upload(scene)()
    assert not VectorCleanup.objects.filter(image_id=scene.image.pk).exists()
