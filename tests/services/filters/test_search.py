"""What a filtered search finds, page by page, in a real Milvus Lite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from searchapp.infra.vectors.store import VectorStore
from searchapp.models import Dataset, Image, ImageState, Index, StaleScalars
from searchapp.services.datasets.dataset_service import create_dataset
from searchapp.services.errors import Invalid, ServiceError, Unavailable
from searchapp.services.filters import parse, scalar_sync
from searchapp.services.images import bulk_actions
from searchapp.services.images.selection import of_keys
from searchapp.services.search import Cutoff, Match, SearchRequest, Sort, indexes_of, retrieval
from searchapp.services.search.cursors import Candidates
from searchapp.services.search.sorting import listed
from tests.services.filters.conftest import Fill, query

pytestmark = pytest.mark.django_db


def wanted_of(*datasets: Dataset, **how: Any) -> SearchRequest:
    if "condition" in how:
        how["condition"] = parse(how["condition"])
    return SearchRequest(indexes_of(list(datasets)), **how)


def find(request: SearchRequest, least: int = 0) -> Candidates:
    candidates = retrieval.nearest(query(request.indexes[0].dimension), request, least)
    return candidates if request.sort == Sort.SIMILARITY else listed(candidates, request, -1.0, ())


def following(
    request: SearchRequest, page: Candidates, shown: Sequence[Match] | None = None
) -> str:
    """The cursor behind a page that shows these, or all, of what was found."""
    return page.next(request, page.candidates if shown is None else shown, Cutoff(0.5, "", {}))


def names(page: Candidates) -> list[str]:
    return [match.image.name for match in page.candidates]


def pages(request: SearchRequest, most: int = 100) -> list[list[int]]:
    """All pages, by the images' keys."""
    keys: list[list[int]] = []
    for _ in range(most):
        page = find(request)
        keys.append([match.image.pk for match in page.candidates])
        request = replace(request, after=following(request, page))
        if not request.after:
            return keys
    raise AssertionError("the pages do not end")


@pytest.mark.slow
def test_as_many_as_exist_however_rare(dataset: Dataset, fill: Fill) -> None:
    """One in a hundred, and most of them far behind what is most alike."""
    fill([{"label": "rare" if place % 100 == 99 else "usual"} for place in range(2_000)])
    rare = wanted_of(dataset, condition={"field": "label", "equals": "Rare"}, top_k=20)
    assert len(find(rare).candidates) == 20
    assert {match.image.label for match in find(rare).candidates} == {"rare"}
    assert len(find(replace(rare, top_k=7)).candidates) == 7


def test_pages_neither_repeat_nor_skip_while_pictures_arrive(dataset: Dataset, fill: Fill) -> None:
    images = fill([{"label": "ab"[place % 2]} for place in range(60)])
    request = wanted_of(dataset, top_k=7, condition={"field": "label", "equals": "a"})
    first = find(request)
    fill([{"label": "a"}] * 5, best=0.995)  # more alike than all that were shown
    fill([{"label": "a"}] * 2, best=0.5)
    images[14].delete()  # of the page that comes next
    shown = [match.image.pk for match in first.candidates]
    for page in pages(replace(request, after=following(request, first))):
        shown += page
    there = [image.pk for place, image in enumerate(images) if place % 2 == 0 and place != 14]
    assert shown[: len(there)] == there
    assert len(shown) == len(set(shown)) == len(there) + 2


def test_what_was_raised_comes_once_and_what_it_displaced_comes_next(
    dataset: Dataset, fill: Fill
) -> None:
    keys = [image.pk for image in fill([{}] * 30)]
    request = wanted_of(dataset, top_k=5)
    first = find(request, least=20)
    raised = [first.candidates[place] for place in (12, 0, 1, 3, 17)]
    request = replace(request, after=following(request, first, raised))
    second = find(request, least=20)
    assert [match.image.pk for match in second.candidates][:4] == [keys[at] for at in (2, 4, 5, 6)]
    assert [match.rank for match in second.candidates][:2] == [6, 7]
    rest = [key for page in pages(request) for key in page]
    assert sorted([match.image.pk for match in raised] + rest) == keys


def test_a_cursor_is_ours_and_of_this_search(dataset: Dataset, fill: Fill) -> None:
    fill([{}] * 10)
    request = wanted_of(dataset, top_k=3)
    first = find(request)
    cursor = following(request, first)
    for after in ("x", cursor[:-1], cursor + "A", "." * 50, cursor * 200):
        with pytest.raises(Invalid) as refused:
            find(replace(request, after=after))
        assert refused.value.code == "invalid_cursor"
    for other in ({"sort": Sort.DATE}, {"collapse": True}, {"min_score": 0.1}):
        with pytest.raises(Invalid, match="another search"):
            find(replace(request, after=cursor, **other))
    assert find(replace(request, after=cursor, top_k=5)).candidates[0].rank == 4


def test_same_pictures_are_collapsed_across_pages(dataset: Dataset, fill: Fill) -> None:
    same = [{"sha256": f"{place // 3:064x}"} for place in range(30)]
    images = fill(same, step=0)
    fill([{"sha256": f"{7:064x}"}], best=0.4)
    request = wanted_of(dataset, top_k=4, collapse=True)
    contents = {image.pk: image.sha256 for image in images}
    shown = [contents[key] for page in pages(request) for key in page]
    assert len(shown) == 10
    assert set(shown) == set(contents.values())
    assert [match.copies for match in find(request).candidates] == [2, 2, 2, 2]
    # A part of a picture is a picture of its own.
    Image.objects.filter(pk=images[1].pk).update(box=[0, 0, 10, 10])
    shown_now = [key for page in pages(request) for key in page]
    assert images[1].pk in shown_now
    assert len(shown_now) == 11


def test_by_size_and_by_date_among_the_best(
    dataset: Dataset,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]],
) -> None:
    monkeypatch.setattr(retrieval, "SORTED_AMONG", 12)
    images = fill([{"width": 100 + 10 * (place * 7 % 20)} for place in range(20)])
    for place, image in enumerate(images):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=place * 3 % 20)
        Image.objects.filter(pk=image.pk).update(created=moment)
        image.created = moment
    best = images[:12]
    by_size = [i.pk for i in sorted(best, key=lambda i: (-(i.width or 0), -i.pk))]
    by_date = [i.pk for i in sorted(best, key=lambda i: i.created, reverse=True)]
    request = wanted_of(dataset, top_k=5, sort=Sort.SIZE)
    first = find(request)
    fill([{"width": 5000}] * 3, best=0.3)  # alike less than the best: not among them
    rest = pages(replace(request, after=following(request, first)))
    assert [m.image.pk for m in first.candidates] + [
        key for page in rest for key in page
    ] == by_size
    request = replace(request, sort=Sort.DATE)
    assert [key for page in pages(request) for key in page] == by_date
    with django_assert_max_num_queries(2):  # however many are sorted
        find(request)


@pytest.mark.slow
def test_lists_go_on_where_more_are_equally_alike_than_are_asked_for(
    dataset: Dataset, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "SORTED_AMONG", 12)
    images = fill([{}] * 40, step=0)
    for sort in (Sort.SIZE, Sort.DATE):
        shown = [key for page in pages(wanted_of(dataset, top_k=5, sort=sort)) for key in page]
        assert len(shown) == len(set(shown)) == 12
        assert set(shown) <= {image.pk for image in images}


def test_several_datasets(dataset: Dataset, fill: Fill, owner: User) -> None:
    other = create_dataset(name="Other", owner=owner)
    here = fill([{"tags": ["x"]}] * 6)
    there = fill([{"tags": ["X"]}] * 6, into=other)
    request = wanted_of(
        dataset, other, top_k=5, condition={"field": "tags", "any": ["x"]}, min_score=0.98965
    )
    shown = [key for page in pages(request) for key in page]
    assert sorted(shown) == [image.pk for image in [*here[:4], *there[:4]]]


CHANGES: list[Any] = [
    lambda image, user: Image.objects.filter(pk=image.pk).update(label="new"),
    lambda image, user: Image.objects.bulk_update([_with(image, label="new")], ["label", "title"]),
    lambda image, user: _with(image, label="new").save(update_fields=["label"]),
    lambda image, user: bulk_actions.carry_out(
        image.dataset,
        of_keys([image.pk]),
        bulk_actions.Change(bulk_actions.Action.LABEL, label="new"),
        user=user,
    ),
]


def _with(image: Image, **facts: Any) -> Image:
    for name, value in facts.items():
        setattr(image, name, value)
    return image


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_any_door_reaches_the_scalars(
    dataset: Dataset, fill: Fill, owner: User, change: Any
) -> None:
    image, *_ = fill([{"label": "old"}] * 3)
    new = wanted_of(dataset, condition={"field": "label", "equals": "new"})
    old = wanted_of(dataset, condition={"field": "label", "equals": "old"})
    change(Image.objects.get(pk=image.pk), owner)
    # What no longer passes is not shown, though Milvus has not heard of it yet.
    assert len(find(old).candidates) == 2
    assert scalar_sync.waits()
    while scalar_sync.work(5):
        pass
    assert names(find(new)) == ["0.jpg"]
    assert not scalar_sync.waits()
    assert scalar_sync.refresh() == 0


def test_what_a_worker_has_in_hand_is_written_when_it_is_done(dataset: Dataset, fill: Fill) -> None:
    """The worker may have read the row before it was changed."""
    image, *_ = fill([{"label": "old"}])
    Image.objects.filter(pk=image.pk).update(state=ImageState.PROCESSING)
    Image.objects.filter(pk=image.pk).update(label="new")
    assert not scalar_sync.work(5)
    assert StaleScalars.objects.count() == 1
    Image.objects.filter(pk=image.pk).update(state=ImageState.READY)
    scalar_sync.work(5)
    assert find(wanted_of(dataset, condition={"field": "label", "equals": "new"})).candidates
    assert not StaleScalars.objects.exists()


def test_a_row_that_changes_while_it_is_written_is_written_again(
    dataset: Dataset, fill: Fill
) -> None:
    image, *_ = fill([{"label": "one"}])
    read = Image.objects.get(pk=image.pk)
    Image.objects.filter(pk=image.pk).update(label="two")
    scalar_sync.work(5)
    scalar_sync.write(dataset.active_index, [read])  # of somebody who was slower
    assert StaleScalars.objects.count() == 1
    scalar_sync.work(5)
    assert find(wanted_of(dataset, condition={"field": "label", "equals": "two"})).candidates


def test_a_deleted_picture_does_not_come_back_with_its_scalars(
    dataset: Dataset, fill: Fill, store: VectorStore, django_capture_on_commit_callbacks: Any
) -> None:
    from searchapp.services.images import image_deletion as images
    from searchapp.services.operations import cleanup

    image, *_ = fill([{"label": "x"}])
    read = Image.objects.get(pk=image.pk)
    index = dataset.active_index
    vector = store.fetch(index.collection, [image.pk])[image.pk]
    images.delete_image(image)
    cleanup.forget_vectors()
    store.upsert(index.collection, [image.pk], vector[None])  # of a worker that was slower
    scalar_sync.look_again(index, [read])
    cleanup.forget_vectors()
    assert store.count(index.collection) == 0


def test_old_collections_are_filled_in_and_refused_until_then(
    dataset: Dataset, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scalar_sync, "AT_ONCE", 4)
    fill([{"label": "ab"[place % 2]} for place in range(10)], scalars=False)
    Index.objects.update(scalars=0)
    condition = {"field": "label", "equals": "b"}
    with pytest.raises(Unavailable) as refused:
        find(wanted_of(dataset, condition=condition))
    assert refused.value.code == "filters_not_ready"
    assert "10 pictures" in refused.value.detail
    assert len(find(wanted_of(dataset)).candidates) == 10  # without a filter nothing is refused
    assert scalar_sync.refill() == 4  # killed here, it goes on from here
    assert Index.objects.get().scalars_cursor
    scalar_sync.work(10)
    assert len(find(wanted_of(dataset, condition=condition)).candidates) == 5


def test_a_filter_is_checked_before_anything_is_searched(dataset: Dataset) -> None:
    with pytest.raises(ServiceError) as refused:
        wanted_of(dataset, condition={"all": [{"field": "width", "min": "wide"}]})
    assert refused.value.code == "invalid_filter"
    assert "filter.all[0].min" in refused.value.detail
