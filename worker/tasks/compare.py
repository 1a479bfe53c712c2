"""Tasks that compare two images: score, match kind, geometry and heatmaps."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import Any

import numpy as np

from embeddings.heatmaps import similarity
from embeddings.heatmaps.feature_map import Places, places_of
from embeddings.operators.decode.pillow import Decoded
from searchapp.infra.queue import celery_app
from searchapp.services.compare import pair_comparison
from searchapp.services.errors import Unavailable
from searchapp.services.search.verification import VerificationSubject
from worker.runtime.comparison_side import ComparisonSide, sides_of
from worker.runtime.engines import PipelineEngine, engine_for, has_places
from worker.runtime.replies import Reply, answer
from worker.tasks.verify import compare, told

_OVERLAY = 512  # pixels of the long side: heat has no finer detail
_GREYEST = 255  # similarities of pairs of places are sent as bytes


@celery_app.task(name=pair_comparison.COMPARE)
def compare_two(
    reply: str,
    first: dict[str, Any],
    second: dict[str, Any],
    pipeline: str,
    fingerprint: str,
    remember: str,
) -> None:
    """Compare two images by the cosine of their vectors and by geometry."""

    def work() -> Reply:
        started = time.perf_counter()
        engine = engine_for(pipeline, fingerprint)
        sides = sides_of(
            (VerificationSubject.from_json(first), VerificationSubject.from_json(second))
        )
        shown = [side.picture() for side in sides]
        verdict, geometry = compare(*sides)
        body = told(verdict, geometry) | {
            "score": _score(engine, shown),
            "first": _facts(sides[0], shown[0]),
            "second": _facts(sides[1], shown[1]),
            "took_ms": round((time.perf_counter() - started) * 1000, 2),
        }
        return Reply(json.dumps(body).encode(), remember, pair_comparison.REMEMBERED_SECONDS)

    answer(reply, work)


def _score(engine: PipelineEngine, shown: list[Decoded]) -> float:
    """Return the cosine similarity of two images' vectors."""
    prepared = [engine.pipeline.prepare(one.image) for one in shown]
    waiting = [engine.batcher.submit(one) for one in prepared]
    first, second = (one.result() for one in waiting)
    return round(max(-1.0, min(1.0, float(first @ second))), 6)


def _facts(side: ComparisonSide, shown: Decoded) -> dict[str, Any]:
    features = side.features
    return {"width": features.width, "height": features.height, "format": shown.format}


@celery_app.task(name=pair_comparison.EXPLAIN)
def explain(
    reply: str,
    first: dict[str, Any],
    second: dict[str, Any],
    pipeline: str,
    fingerprint: str,
    remember: str,
) -> None:
    """Make heatmaps of the regions that contribute to the match of two images."""

    def work() -> Reply:
        engine = engine_for(pipeline, fingerprint)
        if not has_places(engine):
            raise Unavailable(
                "heatmap_not_ready",
                "Heatmaps are being prepared on this machine, once: ask again in some seconds.",
            )
        sides = sides_of(
            (VerificationSubject.from_json(first), VerificationSubject.from_json(second))
        )
        shown = [side.picture() for side in sides]
        places = [places_of(engine.pipeline, one.image) for one in shown]
        shares = similarity.shares(*places, averaged=engine.pipeline.averages_places)
        peak = float(max(shares.first.max(), shares.second.max()))
        pairs = np.clip(shares.pairs / max(float(shares.pairs.max()), 1e-12), 0, 1)
        body = {
            "score": round(shares.score, 6),
            "exact": shares.exact,
            "first": _grid(places[0]),
            "second": _grid(places[1]),
            "pairs": base64.b64encode(np.round(pairs * _GREYEST).astype(np.uint8)).decode(),
        }
        overlays = [
            _overlay(values, one, picture, peak)
            for values, one, picture in zip(
                (shares.first, shares.second), places, shown, strict=True
            )
        ]
        body["lengths"] = [len(one) for one in overlays]
        payload = json.dumps(body).encode() + b"\n" + b"".join(overlays)
        return Reply(payload, remember, pair_comparison.REMEMBERED_SECONDS)

    answer(reply, work)


def _grid(places: Places) -> dict[str, Any]:
    """Return the grid of a feature map: the edges of each view, and the places per side."""
    views = [[view.left, view.top, view.right, view.bottom] for view in places.views]
    return {"side": places.side, "views": [[round(edge, 5) for edge in view] for view in views]}


def _overlay(values: Any, places: Places, picture: Decoded, peak: float) -> bytes:
    scale = _OVERLAY / max(picture.image.size)
    size = tuple(max(1, round(side * scale)) for side in picture.image.size)
    file = io.BytesIO()
    heat = similarity.overlay(values, places, (size[0], size[1]), peak)
    heat.save(file, "WEBP", quality=80, method=2)
    return file.getvalue()
