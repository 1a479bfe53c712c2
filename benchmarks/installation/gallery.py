"""Fill a dataset with a gallery to search in: rows, files and vectors.

Run it as `python -m benchmarks.installation.gallery FOLDER NUMBER VECTORS`, in the environment of a
running installation.

Every row has a vector, and its own original, thumbnails and local features. These files are hard
links to the files of some hundred images in FOLDER. For each of these, one row has the image's own
vector; the other rows have vectors near to it but show another image. So searches find both copies
and look-alikes, which geometry has to distinguish.

Writes the vectors to the file VECTORS. Prints, as JSON, where they are and which row shows which
image.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from searchapp.models import Dataset, Image

Floats = npt.NDArray[np.float32]
# Cosine between a look-alike's vector and the vector of its image.
LIKENESS = 0.7
_SEED = 21
_AT_ONCE = 1000


@dataclass(frozen=True)
class Picture:
    """The files, columns and vector of one image, shared by all rows that show it."""

    files: dict[str, Path]  # by the kind of name that each row gives its link
    facts: dict[str, Any]
    vector: Floats


def fill(folder: Path, number: int, vectors_file: Path) -> dict[str, Any]:
    """Create a dataset of `number` ready images; return where it is, and which file each shows."""
    from django.conf import settings
    from django.contrib.auth import get_user_model

    from searchapp.infra.vectors.store import get_store
    from searchapp.models import Image
    from searchapp.services.datasets.dataset_service import create_dataset

    pictures = list(_prepared(folder))
    owner = get_user_model().objects.get(username="admin")
    dataset = create_dataset(name="Gallery", slug="gallery", owner=owner, visibility="private")
    index, store = dataset.active_index, get_store()
    store.ensure_collection(index.collection, index.dimension)
    vectors = _vectors(np.stack([picture.vector for picture in pictures]), number)
    np.save(vectors_file, vectors)
    shown = np.random.default_rng(_SEED).integers(len(pictures), size=number)
    shown[: len(pictures)] = np.arange(len(pictures))[:number]
    first = 0
    for start in range(0, number, _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, number))
        rows = [_row(dataset, place, pictures[shown[place]]) for place in part]
        for row, place in zip(rows, part, strict=True):
            _link(row.sha256, pictures[shown[place]].files)
        images = Image.objects.bulk_create(rows)
        first = first or images[0].pk
        store.upsert(index.collection, [row.pk for row in images], vectors[part.start : part.stop])
    return {
        "slug": dataset.slug,
        "collection": index.collection,
        "uri": settings.MILVUS_URI,
        "first": first,
        "shown": shown.tolist(),
    }


def _prepared(folder: Path) -> Iterator[Picture]:
    from django.conf import settings

    from embeddings.geometry.local_features import VERSION, local_features
    from embeddings.operators.decode.pillow import decode
    from embeddings.operators.thumbnails import dominant_color, thumbnail
    from embeddings.pipelines import pipeline
    from embeddings.thread_count import set_threads
    from searchapp.infra.storage import THUMBNAIL_SIDES

    set_threads(1)
    model = pipeline()
    target = Path(settings.DATA_DIR) / "gallery"
    target.mkdir()
    for path in sorted(folder.glob("*.jpg")):
        data = path.read_bytes()
        image = decode(data).image
        contents = {"originals/{}": data, "features/{}.features": local_features(image).to_bytes()}
        contents |= {f"thumbnails/{{}}-{s}.webp": thumbnail(image, s) for s in THUMBNAIL_SIDES}
        files = {}
        for place, (name, content) in enumerate(contents.items()):
            files[name] = target / f"{path.stem}-{place}"
            files[name].write_bytes(content)
        facts = {
            "bytes": len(data), "width": image.width, "height": image.height,
            "color": dominant_color(image), "features": VERSION,
        }  # fmt: skip
        yield Picture(files, facts, model.embed([model.prepare(image)])[0])


def _vectors(own: Floats, number: int) -> Floats:
    """Unit vectors (number, D): first those of the images, then look-alikes of each in turn."""
    chosen = np.random.default_rng(_SEED)
    vectors = np.empty((number, own.shape[1]), dtype=np.float32)
    for start in range(0, number, _AT_ONCE):
        places = np.arange(start, min(start + _AT_ONCE, number))
        like = own[places % len(own)]
        noise = chosen.standard_normal(like.shape, dtype=np.float32)
        noise -= np.sum(noise * like, axis=1, keepdims=True) * like
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        vectors[places] = LIKENESS * like + (1 - LIKENESS**2) ** 0.5 * noise
    vectors[: len(own)] = own[:number]
    return vectors


def _row(dataset: Dataset, place: int, picture: Picture) -> Image:
    from django.utils import timezone

    from searchapp.models import Image, ImageState

    # A common prefix keeps the number of folders small.
    digest = "00" + hashlib.sha256(f"{_SEED} {place}".encode()).hexdigest()[2:]
    return Image(
        dataset=dataset,
        content_key=digest,
        sha256=digest,
        name=f"gallery-{place:06}.jpg",
        title=f"Picture {place}",
        metadata={"number": place, "licence": "CC0"},
        format="jpeg",
        state=ImageState.READY,
        ready_at=timezone.now(),
        **picture.facts,
    )


def _link(digest: str, files: dict[str, Path]) -> None:
    from django.core.files.storage import default_storage

    for name, file in files.items():
        kind, _, form = name.partition("/")
        place = f"{kind}/{digest[:2]}/{digest[2:4]}/{form.format(digest)}"
        target = Path(default_storage.path(place))
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, target)


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "searchapp.settings.main")
    django.setup()
    print(json.dumps(fill(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))


if __name__ == "__main__":
    main()
