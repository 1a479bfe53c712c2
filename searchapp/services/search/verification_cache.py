"""Cache of geometric verdicts on pairs of a query picture and a stored image."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings

import embeddings
from embeddings.geometry.kinds import Edit, Kind
from searchapp.infra import queue
from searchapp.services.search.verification import Verified

# Per query picture: enough for many pages and filters of one search.
_MAX_VERDICTS = 2000


@dataclass(frozen=True)
class PairVerdict:
    """The verdict on one pair. `kind` is None when the score decides; `inliers`, `agreement` and
    `closeness` measure how well the two pictures align."""

    kind: Kind | None
    edits: tuple[Edit, ...]
    reason: str
    inliers: int = 0
    agreement: float = 0.0
    closeness: float = 0.0

    @classmethod
    def of(cls, verified: Verified) -> PairVerdict:
        verdict, geometry = verified.verdict, verified.geometry
        return cls(
            verdict.kind,
            verdict.edits,
            verdict.reason,
            geometry.inliers,
            geometry.agreement,
            round(geometry.closeness, 4),
        )

    def to_bytes(self) -> bytes:
        facts = (self.kind, self.edits, self.reason, self.inliers, round(self.agreement, 4))
        return json.dumps([*facts, self.closeness]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> PairVerdict:
        kind, edits, *facts = json.loads(data)
        named = None if kind is None else Kind(kind)
        return cls(named, tuple(Edit(edit) for edit in edits), *facts)


def recall(content: str, others: Iterable[str]) -> dict[str, PairVerdict]:
    """Return the cached verdicts on `content` and each of `others`, by the latter.

    The result is empty while Redis is down.
    """
    with contextlib.suppress(queue.QueueUnavailable):
        cached = queue.recall_fields(_key(content), list(others))
        return {other: PairVerdict.from_bytes(data) for other, data in cached.items()}
    return {}


def remember(content: str, judgements: Mapping[str, PairVerdict]) -> None:
    """Cache verdicts on `content` and others for as long as query pictures are kept."""
    with contextlib.suppress(queue.QueueUnavailable):
        queue.remember_fields(
            _key(content),
            {other: judgement.to_bytes() for other, judgement in judgements.items()},
            settings.QUERY_KEEP_HOURS * 3600,
            _MAX_VERDICTS,
        )


def _key(content: str) -> str:
    # Another version may give other verdicts.
    return f"lookalike:verdicts:{embeddings.__version__}:{content}"
