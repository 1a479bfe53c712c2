"""What two pictures are to each other, and what was done to one to make the other: the words.

`embeddings.geometry.verdicts` decides which of them apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How two pictures belong together, the surest first."""

    IDENTICAL = "identical"  # the same bytes or the same pixels
    NEAR_DUPLICATE = "near-duplicate"  # an edited copy
    SAME_THING = "same thing"  # another photograph of the same object or place
    SIMILAR = "similar"
    WEAK = "weak"


class Edit(StrEnum):
    """What makes two copies of one picture differ; `inside` and `contains` say which way round."""

    RESIZED = "resized"
    CROPPED = "cropped"  # one shows a part of what the other shows
    MIRRORED = "mirrored"
    ROTATED = "rotated"
    RECOMPRESSED = "recompressed"  # the later one was saved again as JPEG; or nothing else differs
    RECOLOURED = "recoloured"
    OVERLAID = "overlaid"  # text, a logo, a watermark or another thing lies on one of them
    INSIDE = "inside"  # the query stands in a larger picture, which is the other: a page, a frame
    CONTAINS = "contains"  # the other stands in a larger picture, which is the query


@dataclass(frozen=True)
class Verdict:
    """What geometry says of two pictures: nothing where `kind` is None.

    `edits` are those of a near-duplicate, in the order of `Edit`; `reason` is a sentence, empty
    where there is no kind.
    """

    kind: Kind | None
    edits: tuple[Edit, ...]
    reason: str
