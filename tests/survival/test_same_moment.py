"""Several people upload the same bytes at the same moment: there is one image."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.installation import Client, Installation
from tests.survival import census
from tests.survival.pictures import pictures

PEOPLE = 8


def test_the_same_bytes_at_the_same_moment_are_one_image(
    survivor: Installation, owner: Client
) -> None:
    slug = owner.dataset("the same moment")
    together = threading.Barrier(PEOPLE)

    def upload(picture: bytes) -> dict[str, Any]:
        person = Client(survivor.url)
        person.session.headers.update(owner.session.headers)
        person.get("/datasets/")  # connected before the start
        together.wait(60)
        (item,) = person.upload(slug, ("same.jpg", picture))["items"]
        return item  # type: ignore[no-any-return]

    rounds = pictures(5, seed=200)
    for picture in rounds.values():
        with ThreadPoolExecutor(PEOPLE) as people:
            items = list(people.map(upload, [picture] * PEOPLE))
        assert len({item["id"] for item in items}) == 1
        assert Counter(item["duplicate"] for item in items) == {True: PEOPLE - 1, False: 1}
        assert [item["error"] for item in items] == [None] * PEOPLE

    counts = census.settled(owner, slug)
    assert counts["ready"] == counts["total"] == len(rounds)
    stored = census.all_vectors(f"unix:{survivor.data}/run/milvus.sock")
    ids = [image["id"] for image in census.images(owner, slug)]
    assert sorted(pk for pk in stored if pk in ids) == sorted(ids)
