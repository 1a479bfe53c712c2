"""`POST /api/v1/search/` and `GET /api/v1/regions/`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.answer_schemas import SearchAnswerSerializer
from searchapp.api.core.permissions import chosen_datasets
from searchapp.api.core.schema import PICTURE_PROBLEMS
from searchapp.api.core.strict import StrictSerializer, StrictView
from searchapp.api.search_serializers import SearchSerializer, search_answer
from searchapp.infra.client_address import sender_of
from searchapp.models import Image, Scope
from searchapp.services import filters, search
from searchapp.services.errors import Invalid, ServiceError


class Search(StrictView):
    """Send a picture, get the pictures most like it, best first."""

    scope = Scope.READ
    problems = {"POST": PICTURE_PROBLEMS}

    @extend_schema(request=SearchSerializer, responses={200: SearchAnswerSerializer})
    def post(self, request: Request) -> Response:
        if len(request.FILES.getlist("image")) > 1:
            raise Invalid("too_many_files", "A search takes one picture.")
        serializer = SearchSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        search_request = search.SearchRequest(
            search.indexes_of(chosen_datasets(request, data["dataset"])),
            data["top_k"],
            data["min_score"],
            condition=filters.parse(data["filter"]),
            sort=search.Sort(data["sort"]),
            collapse=data["collapse"],
            after=data["after"],
            verify=data["verify"],
        )
        box = data["box"]
        query = image = None
        if "image" in data:
            query, answer = search.search_upload(
                data["image"], request.user, sender_of(request), search_request, box
            )
        elif "url" in data:
            query, answer = search.search_url(
                data["url"], request.user, sender_of(request), search_request, box
            )
        elif "query" in data:
            query = search.find_query(data["query"])
            answer = search.answer_query(query, search_request, box)
        else:
            image = _image(request, data["image_id"])
            answer = search.answer_image(image, search_request, box)
        return Response(search_answer(answer, query, image, request))


class WhoseRegionsSerializer(StrictSerializer):
    """One of both."""

    image_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    query = serializers.CharField(required=False, max_length=32)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError("Name one picture: `image_id` or `query`.")
        return attrs


class RegionsSerializer(serializers.Serializer[Any]):
    regions = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(), min_length=4, max_length=4)
    )


class Regions(StrictView):
    """Boxes of what stands out in a picture, to search with."""

    parameters = {"GET": ("image_id", "query")}
    problems = {"GET": PICTURE_PROBLEMS}

    scope = Scope.READ

    @extend_schema(parameters=[WhoseRegionsSerializer], responses=RegionsSerializer)
    def get(self, request: Request) -> Response:
        serializer = WhoseRegionsSerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        if "query" in data:
            boxes = search.find_regions(search.find_query(data["query"]))
        else:
            image = _image(request, data["image_id"])
            search.check_ready(image)
            boxes = search.find_regions(image)
        return Response({"regions": [box.numbers for box in boxes]})


def _image(request: Request, pk: int) -> Image:
    visible = Image.objects.visible_to(request.user).select_related("dataset")
    image = visible.filter(pk=pk).first()
    if image is None:
        raise ServiceError("not_found", f"There is no image {pk}.", status=404)
    return image
