"""The stage behind ready: local features are made, kept, given back and cleaned away."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image as Pillow

import worker.tasks.features
from embeddings.geometry.local_features import VERSION, LocalFeatures
from embeddings.operators.decode.pillow import Decoded
from searchapp.infra import storage
from searchapp.models import Dataset, FeatureState, Image, ImageState
from searchapp.services import audit
from searchapp.services.audit import runner
from searchapp.services.audit.features import MissingFeatures
from searchapp.services.audit.files import UnusedFiles
from searchapp.services.ingest import feature_claims as features
from searchapp.services.operations import cleanup, worker_health
from tests.pictures import encoded
from tests.services.compare.conftest import CAT, DEMO, Add
from worker.runtime import local_features
from worker.tasks.features import advance

PICTURES = sorted(DEMO.glob("*.jpg"))[:8]


def states() -> list[int]:
    return list(Image.objects.order_by("pk").values_list("features", flat=True))


def small(number: int) -> bytes:
    drawn = Pillow.effect_mandelbrot((64, 48), (-2 + number / 9, -1.2, 1, 1.2), 40)
    return encoded(drawn.convert("RGB"))


def test_ready_images_get_their_features(add: Add) -> None:
    image = add(PICTURES[0].read_bytes())
    part = add(PICTURES[1].read_bytes(), box=[10, 20, 200, 150], width=200, height=150)
    assert features.left() == worker_health.snapshot().featureless == 2
    advance()
    assert states() == [VERSION, VERSION]
    assert features.left() == 0
    assert not features.waits()
    for one in (image, part):
        stored_features = LocalFeatures.from_bytes(storage.read_features(one.thumbnail_key))
        assert (stored_features.width, stored_features.height) == (one.width, one.height)


def test_what_is_not_searchable_yet_always_comes_first(add: Add) -> None:
    add(small(1))
    coming = add(small(2), state=ImageState.RECEIVED)
    advance()
    assert states() == [FeatureState.NONE, FeatureState.NONE]
    Image.objects.filter(pk=coming.pk).update(state=ImageState.REJECTED)
    advance()
    assert states() == [VERSION, FeatureState.NONE]


def test_a_call_gives_way_when_pictures_come_in(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        add(small(number))
    make_features = local_features.make

    def arrives(image: Image) -> Any:
        add(small(9), state=ImageState.RECEIVED)
        return make_features(image)

    monkeypatch.setattr(worker.tasks.features, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(worker.tasks.features, "make", arrives)
    advance()
    assert states()[:3] == [VERSION, FeatureState.NONE, FeatureState.NONE]


def test_a_bad_picture_does_not_stop_the_others(add: Add) -> None:
    bad = add(small(1))
    add(small(2))
    name = f"originals/{bad.sha256[:2]}/{bad.sha256[2:4]}/{bad.sha256}"
    default_storage.save(name, ContentFile(b"no picture"))
    advance()
    assert states() == [FeatureState.CANNOT, VERSION]
    assert not features.waits()


def test_a_reference_is_looked_at_by_its_thumbnail(add: Add) -> None:
    away = add(PICTURES[0].read_bytes(), reference="https://example.org/a.jpg")
    storage.delete_original(away.sha256)
    advance()
    stored_features = LocalFeatures.from_bytes(storage.read_features(away.thumbnail_key))
    assert (stored_features.width, stored_features.height) == (away.width, away.height)


def test_no_two_get_the_same_images_and_the_dead_give_them_back(add: Add) -> None:
    for number in range(5):
        add(small(number))
    first, second = features.claim(3), features.claim(3)
    assert len(first) == 3
    assert len(second) == 2
    assert not {image.pk for image in first} & {image.pk for image in second}
    assert features.claim() == []
    Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert features.free_expired() == 5
    # A worker died over them: from now on each by itself, and at the second death no more.
    assert [len(features.claim()) for _ in range(2)] == [1, 1]
    Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert features.free_expired() == 0
    assert sorted(states()) == [FeatureState.ALONE] * 3 + [FeatureState.CANNOT] * 2
    while features.waits():
        advance()
    assert sorted(states()) == [FeatureState.CANNOT] * 2 + [VERSION] * 3


def test_whoever_comes_back_from_the_dead_overwrites_nothing(add: Add) -> None:
    image = add(small(1))
    late = features.claim()
    Image.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    features.free_expired()
    advance()
    assert features.finish(late, {image.pk: FeatureState.CANNOT}) == [image.pk]
    assert states() == [VERSION]


def test_what_is_deleted_meanwhile_leaves_no_file(
    add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = add(small(1))
    make_features = local_features.make

    def goes(claimed: Image) -> Any:
        features = make_features(claimed)
        Image.objects.filter(pk=claimed.pk).delete()
        return features

    monkeypatch.setattr(worker.tasks.features, "make", goes)
    advance()
    assert not storage.has_features(image.thumbnail_key)


def test_features_go_with_the_last_image_of_their_content(add: Add, dataset: Dataset) -> None:
    image = add(small(1))
    copy = Image.objects.get(pk=image.pk)
    copy.pk, copy.content_key = None, f"{image.sha256}#1"
    copy.save()
    advance()
    files = [cleanup.Files.of(image)]
    image.delete()
    cleanup.remove_unused_files(files)
    assert storage.has_features(files[0].thumbnail_key)
    copy.delete()
    cleanup.remove_unused_files(files)
    assert not storage.has_features(files[0].thumbnail_key)


def test_statements_do_not_grow_with_the_images(
    add: Add, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        add(small(number))
    with django_assert_max_num_queries(16):
        advance()
    assert states() == [VERSION] * 12


def test_an_audit_finds_and_mends(
    add: Add, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runner, "CHECKS", (MissingFeatures, UnusedFiles))
    monkeypatch.setattr(runner, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("searchapp.services.audit.files._YOUNG_SECONDS", -1.0)
    gone, old, whole = (add(small(number)) for number in range(3))
    advance()
    storage.delete_features(gone.thumbnail_key)
    Image.objects.filter(pk=old.pk).update(features=VERSION + 1)
    storage.put_features("a" * 64, b"of nobody")
    report = audit.run(audit.start(here=True, repair=True))
    counts = {kind: (one["found"], one["repaired"]) for kind, one in report.counts.items()}
    assert counts == {"features_missing": (2, 2), "files_unused": (1, 1)}
    assert states() == [FeatureState.NONE, FeatureState.NONE, VERSION]
    assert not storage.has_features("a" * 64)
    advance()
    report = audit.run(audit.start(here=True))
    assert report.left == 0
    assert storage.has_features(gone.thumbnail_key)
    assert whole.pk


def test_features_of_a_query_are_begun_once_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    content = CAT.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    default_storage.save(f"queries/{sha256[:2]}/{sha256[2:4]}/{sha256}", ContentFile(content))
    numbers: list[int] = []
    may_go_on = threading.Event()
    compute_features = local_features.of_decoded

    def slowly(decoded: Decoded) -> LocalFeatures:
        numbers.append(1)
        may_go_on.wait(10)
        return compute_features(decoded)

    monkeypatch.setattr(local_features, "of_decoded", slowly)
    local_features.begin(sha256, None)
    local_features.begin(sha256, None)
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(local_features.of_query, sha256, None)
        may_go_on.set()
        assert len(future.result(10).points) > 20
    assert len(numbers) == 1


def test_what_was_begun_in_vain_is_said_to_whoever_asks() -> None:
    local_features.begin("a" * 64, None)  # nobody has kept it
    with pytest.raises(FileNotFoundError):
        local_features.of_query("a" * 64, None)
