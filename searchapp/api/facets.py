"""`GET /api/v1/facets/`: what searches can be limited to."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.core.permissions import chosen_datasets
from searchapp.api.core.strict import StrictView
from searchapp.services.errors import Invalid
from searchapp.services.filters.facets import Facet, schema_of
from searchapp.services.filters.fields import FIXED, OPERATORS, FieldKind, Op
from searchapp.services.search import MAX_DATASETS


class ValueSerializer(serializers.Serializer[Any]):
    value = serializers.CharField()
    number = serializers.IntegerField()


class FacetSerializer(serializers.Serializer[Any]):
    """A field, how many pictures have it, and with what values."""

    field = serializers.CharField()
    title = serializers.CharField()
    kind = serializers.ChoiceField(choices=[str(kind) for kind in FieldKind])
    operators = serializers.ListField(child=serializers.CharField())
    number = serializers.IntegerField()
    values = ValueSerializer(many=True)
    others = serializers.IntegerField()
    min = serializers.JSONField(allow_null=True)
    max = serializers.JSONField(allow_null=True)


class FacetsSerializer(serializers.Serializer[Any]):
    pictures = serializers.IntegerField()
    counted = serializers.DateTimeField(allow_null=True)
    facets = FacetSerializer(many=True)


class Facets(StrictView):
    """What the pictures of datasets can be filtered by, with counts: of those named, or of all that
    one may see."""

    parameters = {"GET": ("dataset",)}
    problems = {"GET": (404,)}

    @extend_schema(
        parameters=[OpenApiParameter("dataset", str, many=True)], responses=FacetsSerializer
    )
    def get(self, request: Request) -> Response:
        slugs = [slug for slug in request.query_params.getlist("dataset") if slug]
        datasets = list(chosen_datasets(request, slugs[: MAX_DATASETS + 1])[: MAX_DATASETS + 1])
        if len(datasets) > MAX_DATASETS:
            raise Invalid(
                "too_many_datasets", f"At most {MAX_DATASETS} datasets are counted at once."
            )
        schema = schema_of(datasets)
        return Response(
            {
                "pictures": schema.pictures,
                "counted": schema.counted,
                "facets": [_shown(facet) for facet in schema.facets],
            }
        )


def _shown(facet: Facet) -> dict[str, Any]:
    return {
        "field": facet.name,
        "title": facet.title,
        "kind": str(facet.kind),
        "operators": _operators(facet),
        "number": facet.number,
        "values": [{"value": one.value, "number": one.number} for one in facet.values],
        "others": facet.others,
        "min": facet.low,
        "max": facet.high,
    }


def _operators(facet: Facet) -> list[str]:
    fixed = FIXED.get(facet.name)
    there = OPERATORS[facet.kind] if fixed is None else fixed.operators
    named = [["min", "max"] if op == Op.RANGE else [str(op)] for op in Op if op in there]
    return [name for names in named for name in names]
