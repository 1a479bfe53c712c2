"""Fill a dataset with image rows and random vectors.

Run it as `python -m benchmarks.installation.fill_images NUMBER`, in the environment of a running
installation. Prints, as JSON, where the vectors are.

Real images would take minutes and make no difference to a search: it compares the query with
every vector, reads the rows of the best, and opens no file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from searchapp.models import Dataset, Image

SEED = 20
_AT_ONCE = 1000


def random_vectors(number: int, dimension: int) -> npt.NDArray[np.float32]:
    """Return unit vectors of random direction, float32 (number, dimension), from a fixed seed."""
    vectors = np.random.default_rng(SEED).standard_normal((number, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def filled_row(dataset: Dataset, place: int) -> Image:
    from django.utils import timezone

    from searchapp.models import Image, ImageState

    digest = hashlib.sha256(f"{SEED} {place}".encode()).hexdigest()
    return Image(
        dataset=dataset,
        content_key=digest,
        sha256=digest,
        name=f"filled-{place:06}.jpg",
        title=f"Filled picture {place}",
        metadata={"number": place, "licence": "CC0"},
        bytes=40_000,
        format="jpeg",
        width=640,
        height=480,
        color="#808080",
        state=ImageState.READY,
        ready_at=timezone.now(),
    )


def fill(number: int) -> dict[str, str]:
    """Create a dataset of `number` ready images; return its slug, collection and Milvus URI."""
    from django.conf import settings
    from django.contrib.auth import get_user_model

    from searchapp.infra.vectors.store import get_store
    from searchapp.models import Image
    from searchapp.services.datasets.dataset_service import create_dataset

    owner = get_user_model().objects.get(username="admin")
    dataset = create_dataset(name="Filled", slug="filled", owner=owner, visibility="private")
    index, store = dataset.active_index, get_store()
    store.ensure_collection(index.collection, index.dimension)
    vectors = random_vectors(number, index.dimension)
    for start in range(0, number, _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, number))
        rows = Image.objects.bulk_create([filled_row(dataset, place) for place in part])
        store.upsert(index.collection, [row.pk for row in rows], vectors[part.start : part.stop])
    return {"slug": dataset.slug, "collection": index.collection, "uri": settings.MILVUS_URI}


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "searchapp.settings.main")
    django.setup()
    print(json.dumps(fill(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
