"""`POST /api/v1/compare/`: two pictures, how alike they are, of which kind, and why."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.answer_schemas import CompareAnswerSerializer
from searchapp.api.core.schema import PICTURE_PROBLEMS
from searchapp.api.core.strict import StrictSerializer, StrictView
from searchapp.api.search_serializers import BoxField
from searchapp.infra.client_address import sender_of
from searchapp.models import Query, Scope
from searchapp.services import search
from searchapp.services.compare import pair_comparison, text
from searchapp.services.compare.pair_comparison import ComparedPicture, PairComparison
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.operations import cleanup

_WAYS = ("image", "image_id", "query", "url")
SECOND = "with_"


class CompareSerializer(StrictSerializer):
    """Two pictures, each as a file, a stored image, a kept query or an address."""

    image = serializers.FileField(required=False, allow_empty_file=True)
    image_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    query = serializers.CharField(required=False, max_length=64)
    url = serializers.CharField(required=False, max_length=2000)
    box = BoxField(required=False, allow_null=True, default=None)
    with_image = serializers.FileField(required=False, allow_empty_file=True)
    with_image_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    with_query = serializers.CharField(required=False, max_length=64)
    with_url = serializers.CharField(required=False, max_length=2000)
    with_box = BoxField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for prefix, which in (("", "first"), (SECOND, "second")):
            names = [f"{prefix}{way}" for way in _WAYS]
            if len([name for name in names if name in attrs]) != 1:
                raise serializers.ValidationError(
                    f"Send one {which} picture: `{names[0]}` (a file, multipart), "
                    f"`{names[1]}`, `{names[2]}` or `{names[3]}`."
                )
        return attrs


class Compare(StrictView):
    """Send two pictures, learn how alike they are, of which kind, and why."""

    scope = Scope.READ
    problems = {"POST": PICTURE_PROBLEMS}

    @extend_schema(request=CompareSerializer, responses={200: CompareAnswerSerializer})
    def post(self, request: Request) -> Response:
        if any(len(request.FILES.getlist(name)) > 1 for name in request.FILES):
            raise Invalid("too_many_files", "A comparison takes two pictures.")
        serializer = CompareSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        queries: list[Query] = []
        try:
            sides = [self._side(request, data, prefix, queries) for prefix in ("", SECOND)]
            result = pair_comparison.compare(*sides)
        except ServiceError:
            for query in queries:  # their tokens were never returned
                cleanup.discard_query(query.token, query.sha256)
            raise
        return Response(comparison_answer(result, request))

    def _side(
        self, request: Request, data: dict[str, Any], prefix: str, queries: list[Query]
    ) -> ComparedPicture:
        box = data[f"{prefix}box"]
        if f"{prefix}image" in data:
            queries.append(
                search.ask_upload(data[f"{prefix}image"], request.user, sender_of(request))
            )
            return ComparedPicture(query=queries[-1], box=box)
        if f"{prefix}url" in data:
            queries.append(search.ask_url(data[f"{prefix}url"], request.user, sender_of(request)))
            return ComparedPicture(query=queries[-1], box=box)
        if f"{prefix}query" in data:
            return ComparedPicture(query=search.find_query(data[f"{prefix}query"]), box=box)
        return ComparedPicture(
            image=pair_comparison.find_image(data[f"{prefix}image_id"], request.user), box=box
        )


def comparison_answer(result: PairComparison, request: Request) -> dict[str, Any]:
    site = f"{request.scheme}://{request.get_host()}"
    query_string = urlencode(pair_comparison.parameters(result.first, result.second), safe=",")
    geometry = result.geometry
    first, second = result.first_facts, result.second_facts
    return {
        "score": result.score,
        "kind": result.kind,
        "edits": list(result.edits),
        "verdict": text.verdict(
            result.kind,
            result.edits,
            geometry,
            (first["width"], first["height"]),
            (second["width"], second["height"]),
        ),
        "reason": result.reason,
        "geometry": {
            "inliers": geometry.inliers,
            "agreement": round(geometry.agreement, 4),
            "mirrored": geometry.mirrored,
            "transform": geometry.transform,
            "outline": geometry.outline,
            "keypoints": geometry.keypoints,
        },
        "first": _side_answer(result.first, first, site),
        "second": _side_answer(result.second, second, site),
        "heatmaps": {
            name: f"{site}{reverse('compare-heat', args=[name])}?{query_string}"
            for name in ("first", "second")
        },
        "pipeline": {"name": result.pipeline.name, "fingerprint": result.pipeline.fingerprint},
        "page_url": f"{site}{reverse('compare')}?{query_string}",
        "took_ms": 0.0 if result.cached else result.took_ms,
    }


def _side_answer(side: ComparedPicture, facts: Any, site: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "width": facts["width"],
        "height": facts["height"],
        "format": facts["format"],
        "sha256": side.picture.sha256,
        "box": list(side.box.numbers) if side.box else None,
    }
    if side.image is not None:
        return {"image_id": side.image.pk, "url": site + side.image.original_url} | body
    assert side.query is not None  # noqa: S101 (one of the two is always given)
    return {"query": side.query.token, "expires": side.query.expires} | body
