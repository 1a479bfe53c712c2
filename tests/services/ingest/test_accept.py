"""Files at the door. Redis is down here, all the time: nothing may depend on it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from searchapp.infra import storage
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import Dataset, Image, ImageState, VectorCleanup
from searchapp.services.datasets import dataset_deletion
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.errors import ServiceError
from searchapp.services.images.image_deletion import delete_image
from searchapp.services.ingest.acceptance import accept

pytestmark = pytest.mark.django_db(transaction=True)
Upload = Callable[..., HashedUpload]


def _stored(sha256: str) -> bool:
    try:
        storage.open_original(sha256).close()
    except FileNotFoundError:
        return False
    return True


def test_what_is_accepted_is_on_disk_and_in_the_database(
    dataset: Dataset, upload: Upload, owner: User
) -> None:
    job = accept(dataset, [upload(b"bytes")], user=owner, title="T", metadata={"a": 1})
    image = Image.objects.get()
    assert (image.state, image.title, image.metadata) == (ImageState.RECEIVED, "T", {"a": 1})
    with storage.open_original(image.sha256) as original:
        assert original.read() == b"bytes"
    assert job.items.get().image == image


def test_too_large_is_a_rejected_image_without_a_file(
    dataset: Dataset, upload: Upload, owner: User, settings: object
) -> None:
    settings.MAX_UPLOAD_BYTES = 10  # type: ignore[attr-defined]
    accept(dataset, [upload(b"x" * 11), upload(b"y" * 10)], user=owner)
    large, right = Image.objects.order_by("pk")
    assert (large.state, large.error_code) == (ImageState.REJECTED, "file_too_large")
    assert large.sha256 == hashlib.sha256(b"x" * 11).hexdigest()
    assert not _stored(large.sha256)
    assert right.state == ImageState.RECEIVED


def test_a_full_disk_keeps_nothing_and_says_so(
    dataset: Dataset, upload: Upload, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with upload(b"some bytes") as sent, pytest.raises(ServiceError) as refused:
        accept(dataset, [sent], user=owner)
    assert (refused.value.code, refused.value.status) == ("storage_full", 507)
    assert not Image.objects.exists()


def test_files_stay_as_long_as_an_image_uses_them(
    dataset: Dataset, upload: Upload, owner: User
) -> None:
    other = create_dataset(name="Other", owner=owner)
    accept(dataset, [upload(b"shared")], user=owner)
    accept(other, [upload(b"shared")], user=owner)
    sha256 = hashlib.sha256(b"shared").hexdigest()
    delete_image(Image.objects.get(dataset=dataset), timezone.now() - timedelta(days=2))
    dataset_deletion.purge()
    assert _stored(sha256)
    dataset_deletion.delete_dataset(other)
    Dataset.objects.filter(pk=other.pk).update(deleted=timezone.now() - timedelta(days=2))
    dataset_deletion.purge()
    assert not _stored(sha256)


def test_vectors_to_forget_are_remembered_while_milvus_is_down(
    dataset: Dataset, upload: Upload, owner: User
) -> None:
    accept(dataset, [upload(b"bytes")], user=owner)
    image = Image.objects.get()
    collection, pk = dataset.active_index.collection, image.pk
    delete_image(image)
    assert list(VectorCleanup.objects.values_list("collection", "image_id")) == [(collection, pk)]
    dataset_deletion.delete_dataset(dataset)
    Dataset.objects.filter(pk=dataset.pk).update(deleted=timezone.now() - timedelta(days=2))
    dataset_deletion.purge()
    assert VectorCleanup.objects.filter(collection=collection, image_id=None).exists()


def test_drafts_of_uploads_are_gone_afterwards(
    dataset: Dataset, upload: Upload, owner: User, settings: object
) -> None:
    draft = upload(b"draft")
    path = Path(draft.temporary_file_path())
    assert path.exists()
    accept(dataset, [draft], user=owner)
    draft.close()
    assert not path.exists()
