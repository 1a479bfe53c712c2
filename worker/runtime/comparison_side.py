"""One of two pictures that are compared: its features, and its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import ImageError
from embeddings.geometry.local_features import LocalFeatures
from embeddings.operators.decode.pillow import Decoded
from searchapp.infra import storage
from searchapp.models import Image, ImageState
from searchapp.services.errors import Gone
from searchapp.services.search.box import parse_box
from searchapp.services.search.verification import Subject
from worker.runtime import decoded_cache, local_features
from worker.runtime.image_decoding import BadBox, cut_out

# What a side needs to know of an image.
COLUMNS = ("sha256", "box", "reference", "width", "height", "features", "format", "bytes", "state")
# Only of pictures of up to this size are all pixels compared.
_MAX_PIXELS = 30_000_000


class Side:
    """A query picture, a stored image, or a box of one of them."""

    def __init__(
        self,
        features: LocalFeatures,
        *,
        image: Image | None = None,
        subject: Subject | None = None,
    ) -> None:
        self.features = features
        self._image = image
        self._query = subject.query if subject else ""
        self._box = parse_box(subject.box) if subject else None

    @classmethod
    def of(cls, subject: Subject, image: Image | None) -> Side:
        """Read, recall or make the features of a subject; `image` is its row, where it has one.

        Raises:
            Gone: code `image_gone` where the image is not ready, or not there any more.
            ImageError, BadBox, FileNotFoundError: where it cannot be looked at.
        """
        box = parse_box(subject.box)
        if subject.query:
            return cls(local_features.of_query(subject.query, box), subject=subject)
        if image is None:
            raise Gone("image_gone", "This picture is gone, or it is not ready.")
        if box is not None:
            part = local_features.cut(_of_image(image), box)
            return cls(local_features.of_decoded(part), image=image, subject=subject)
        features = local_features.stored([image]).get(image.pk)
        return cls(features or local_features.make(image), image=image, subject=subject)

    @property
    def is_whole(self) -> bool:
        """Whether it is a file as it came, whose bytes may be those of another."""
        return self._box is None and (self._image is None or self._image.box is None)

    @property
    def sha256(self) -> str:
        return self._image.sha256 if self._image is not None else self._query

    def picture(self) -> Decoded:
        """The picture at its full size; where its original is not kept here, as its thumbnail
        shows it.

        Raises:
            ImageError, BadBox, FileNotFoundError: where it cannot be looked at.
        """
        if self._image is not None:
            return local_features.cut(_of_image(self._image), self._box)
        query = self._query
        whole = decoded_cache.whole(query, lambda: storage.open_query(query))
        return local_features.cut(whole, self._box)

    def pixels(self) -> NDArray[np.uint8] | None:
        """All its pixels; None where they are not at hand, or too many."""
        if self.features.width * self.features.height > _MAX_PIXELS:
            return None
        try:
            picture = self.picture()
        except (ImageError, BadBox, OSError):
            return None
        if picture.image.size != (self.features.width, self.features.height):
            return None
        return np.asarray(picture.image)


def sides_of(subjects: tuple[Subject, Subject]) -> tuple[Side, Side]:
    """The two sides of a comparison; raises what `Side.of` raises."""
    keys = [subject.image for subject in subjects if subject.image]
    rows = Image.objects.filter(pk__in=keys, state=ImageState.READY).only(*COLUMNS).order_by()
    found = rows.in_bulk()
    first, second = (Side.of(subject, found.get(subject.image)) for subject in subjects)
    return first, second


def _of_image(image: Image) -> Decoded:
    """The picture of an image at its full size, or its thumbnail: nothing is fetched for this."""
    if not image.reference:
        sha256 = image.sha256
        try:
            return cut_out(
                image, decoded_cache.whole(sha256, lambda: storage.open_original(sha256))
            )
        except FileNotFoundError:
            pass  # the audit tells of it
    return local_features.of_thumbnail(image)
