"""What a search is sent and what it answers, over the wire: see `docs/api.md`."""

from __future__ import annotations

import json
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from embeddings.geometry.kinds import Kind
from searchapp.api.core.strict import StrictSerializer
from searchapp.api.serializers import absolute
from searchapp.models import Image, Query
from searchapp.services.errors import Invalid
from searchapp.services.filters.query_string import MAX_FILTER_LENGTH
from searchapp.services.search import MAX_DATASETS, MAX_RESULTS, Answer, Sort, parse_box


class BoxField(serializers.JSONField):
    """Four numbers; in a form, their text. None is the whole picture."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            data = data.strip().removeprefix("[").removesuffix("]")
        elif not isinstance(data, list):
            data = [data]
        return parse_box(data)


class FilterField(serializers.JSONField):
    """A JSON object; in a form, its text. What may be in it is the affair of `filters.parse`."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        if len(data) > MAX_FILTER_LENGTH:
            raise Invalid("invalid_filter", f"filter: at most {MAX_FILTER_LENGTH} characters.")
        try:
            return json.loads(data) if data.strip() else None
        except (ValueError, RecursionError):
            raise Invalid("invalid_filter", "filter: this is not JSON.") from None


class SlugsField(serializers.ListField):
    """Slugs of datasets: a list, or one. In a form the field is repeated."""

    child = serializers.CharField(max_length=80, allow_blank=True)

    def to_internal_value(self, data: Any) -> list[str]:
        slugs = [data] if isinstance(data, str) else data
        return [slug for slug in super().to_internal_value(slugs) if slug]


class SearchSerializer(StrictSerializer):
    """A question: one of `image` (a file), `image_id`, `query` (one that is kept), `url`."""

    image = serializers.FileField(required=False, allow_empty_file=True)
    image_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    query = serializers.CharField(required=False, max_length=32)
    url = serializers.CharField(required=False, max_length=2000)
    dataset = SlugsField(default=list, max_length=MAX_DATASETS)
    top_k = serializers.IntegerField(default=20, min_value=1, max_value=MAX_RESULTS)
    min_score = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=-1, max_value=1
    )
    filter = FilterField(required=False, allow_null=True, default=None)
    sort = serializers.ChoiceField(choices=[str(sort) for sort in Sort], default=Sort.SIMILARITY)
    collapse = serializers.BooleanField(default=False)
    after = serializers.CharField(default="", max_length=20_000, allow_blank=True)
    verify = serializers.BooleanField(default=True)
    box = BoxField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        sources = [name for name in ("image", "image_id", "query", "url") if name in attrs]
        if len(sources) != 1:
            raise serializers.ValidationError(
                "Send one picture: `image` (a file, multipart), `image_id`, `query`, or `url`."
            )
        return attrs


def search_answer(
    answer: Answer, query: Query | None, image: Image | None, request: Request
) -> dict[str, Any]:
    """The body of a search's answer. Written by hand: it is the hottest path of the API."""
    picture: dict[str, Any] = {"width": answer.width, "height": answer.height}
    if query is not None:
        picture |= {
            "id": query.token,
            "sha256": query.sha256,
            "page_url": absolute(request, query.get_absolute_url()),
            "expires": query.expires,
        }
    elif image is not None:
        picture |= {"image_id": image.pk, "sha256": image.sha256}
    if answer.box is not None:
        picture["box"] = answer.box.numbers
    took = answer.took
    # Resolving an address costs more than all the rest of a match: once an answer is enough.
    site = absolute(request, "")
    original = site + Image(pk=0).original_url
    thumbnail = site + Image(pk=0).thumbnail_url()
    return {
        "query": picture,
        "pipeline": {"name": answer.pipeline, "fingerprint": answer.fingerprint},
        "took_ms": {
            "decode": round(took.decode, 2),
            "embed": round(took.embed, 2),
            "search": round(took.search, 2),
            "verify": round(took.verify, 2),
            "total": round(took.total, 2),
        },
        "verified": answer.verified,
        "cutoff": {
            "score": answer.cutoff.score,
            "reason": answer.cutoff.reason,
            "nothing_like_it": answer.cutoff.nothing,
            "kinds": {str(kind): answer.cutoff.counts.get(kind, 0) for kind in Kind},
        },
        "results": [
            {
                "rank": match.rank,
                "score": match.score,
                "kind": str(match.kind),
                "edits": list(match.edits),
                "reason": match.reason,
                "verified": match.verified,
                "copies": match.copies,
                "image": {
                    "id": match.image.pk,
                    "title": match.image.caption,
                    "url": original.replace("/0/", f"/{match.image.pk}/"),
                    "thumbnail_url": thumbnail.replace("/0/", f"/{match.image.pk}/"),
                    "width": match.image.width,
                    "height": match.image.height,
                    "metadata": match.image.metadata,
                },
            }
            for match in answer.matches
        ],
        "next": answer.next or None,
    }
