"""One side of a comparison of two images: its local features and its pixels."""

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
from searchapp.services.search.verification import VerificationSubject
from worker.runtime import decoded_cache, local_features
from worker.runtime.image_decoding import BadBox, cut_out

# The columns of an image that a side reads.
COLUMNS = ("sha256", "box", "reference", "width", "height", "features", "format", "bytes", "state")
# Pixels are compared only in images of up to this number of pixels.
_MAX_PIXELS = 30_000_000


class ComparisonSide:
    """A query image, a stored image, or a box of one of them."""

    def __init__(
        self,
        features: LocalFeatures,
        *,
        image: Image | None = None,
        subject: VerificationSubject | None = None,
    ) -> None:
        self.features = features
        self._image = image
        self._query = subject.query if subject else ""
        self._box = parse_box(subject.box) if subject else None

    @classmethod
    def of(cls, subject: VerificationSubject, image: Image | None) -> ComparisonSide:
        """Read or compute the features of a subject; `image` is its row, if it has one.

        Raises `Gone`, code `image_gone`, when the image is not ready or no longer exists, and
        `ImageError`, `BadBox` or `FileNotFoundError` when it cannot be read.
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
        """Whether the side is a whole file, so that its SHA-256 can be compared."""
        return self._box is None and (self._image is None or self._image.box is None)

    @property
    def sha256(self) -> str:
        return self._image.sha256 if self._image is not None else self._query

    def picture(self) -> Decoded:
        """Return the image at full size, or its thumbnail where the original is not stored.

        Raises `ImageError`, `BadBox` or `FileNotFoundError` when it cannot be read.
        """
        if self._image is not None:
            return local_features.cut(_of_image(self._image), self._box)
        query = self._query
        whole = decoded_cache.whole(query, lambda: storage.open_query(query))
        return local_features.cut(whole, self._box)

    def pixels(self) -> NDArray[np.uint8] | None:
        """Return all pixels, uint8 (H, W, 3); None where they are not available or too many."""
        if self.features.width * self.features.height > _MAX_PIXELS:
            return None
        try:
            picture = self.picture()
        except (ImageError, BadBox, OSError):
            return None
        if picture.image.size != (self.features.width, self.features.height):
            return None
        return np.asarray(picture.image)


def sides_of(
    subjects: tuple[VerificationSubject, VerificationSubject],
) -> tuple[ComparisonSide, ComparisonSide]:
    """Return the two sides of a comparison. Raises what `ComparisonSide.of` raises."""
    keys = [subject.image for subject in subjects if subject.image]
    rows = Image.objects.filter(pk__in=keys, state=ImageState.READY).only(*COLUMNS).order_by()
    images = rows.in_bulk()
    first, second = (ComparisonSide.of(subject, images.get(subject.image)) for subject in subjects)
    return first, second


def _of_image(image: Image) -> Decoded:
    """Return an image at full size, or its thumbnail: nothing is fetched from the web for this."""
    if not image.reference:
        sha256 = image.sha256
        try:
            return cut_out(
                image, decoded_cache.whole(sha256, lambda: storage.open_original(sha256))
            )
        except FileNotFoundError:
            pass  # the audit reports it
    return local_features.of_thumbnail(image)
