"""Kinds of match between two pictures, kinds of edit, and the verdict that holds them.

`embeddings.geometry.verdicts` decides which of them apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kind of match between two pictures, the most certain first."""

    IDENTICAL = "identical"  # the same bytes or the same pixels
    NEAR_DUPLICATE = "near-duplicate"  # an edited copy
    SAME_THING = "same thing"  # another photograph of the same object or place
    SIMILAR = "similar"
    WEAK = "weak"


class Edit(StrEnum):
    """An edit between two copies; `inside` and `contains` tell the direction."""

    RESIZED = "resized"
    CROPPED = "cropped"  # one shows a part of what the other shows
    MIRRORED = "mirrored"
    ROTATED = "rotated"
    RECOMPRESSED = "recompressed"  # the later one was saved again as JPEG; or nothing else differs
    RECOLOURED = "recoloured"
    OVERLAID = "overlaid"  # one has text, a logo, a watermark or another overlay
    INSIDE = "inside"  # the query is part of a larger picture, the other: a page, a frame
    CONTAINS = "contains"  # the other is part of a larger picture, the query


@dataclass(frozen=True)
class Verdict:
    """The kind of match that geometry finds, None for none.

    `edits` are those of a near-duplicate, in the order of `Edit`; `reason` is a sentence, empty
    when there is no kind.
    """

    kind: Kind | None
    edits: tuple[Edit, ...]
    reason: str
