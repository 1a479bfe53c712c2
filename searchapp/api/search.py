"""`POST /api/v1/search/`."""

from __future__ import annotations

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from searchapp.api.permissions import visible_dataset
from searchapp.api.serializers import SearchSerializer, search_answer
from searchapp.models import Dataset, Image, Scope
from searchapp.services import search
from searchapp.services.errors import Invalid, ServiceError


class Search(APIView):
    """Send a picture, get the pictures most like it, best first."""

    scope = Scope.READ

    @extend_schema(request=SearchSerializer, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        if len(request.FILES.getlist("image")) > 1:
            raise Invalid("too_many_files", "A search takes one picture.")
        given = SearchSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        datasets = self._datasets(request, asked.get("dataset", ""))
        limits = {"top_k": asked["top_k"], "min_score": asked["min_score"]}
        query = image = None
        if "image" in asked:
            query, answer = search.search_upload(asked["image"], request.user, datasets, **limits)
        elif "url" in asked:
            query, answer = search.search_url(asked["url"], request.user, datasets, **limits)
        else:
            image = self._image(request, asked["image_id"])
            answer = search.answer_image(image, datasets, **limits)
        return Response(search_answer(answer, query, image, request))

    def _datasets(self, request: Request, slug: str) -> list[Dataset]:
        """The dataset that was named; without a name, all that the user may see."""
        if slug:
            try:
                return [visible_dataset(request, slug)]
            except Http404:
                detail = f"There is no dataset '{slug}'."
                raise ServiceError("not_found", detail, status=404) from None
        return list(Dataset.objects.visible_to(request.user)[: search.MAX_DATASETS + 1])

    def _image(self, request: Request, pk: int) -> Image:
        visible = Image.objects.visible_to(request.user).select_related("dataset")
        image = visible.filter(pk=pk).first()
        if image is None:
            raise ServiceError("not_found", f"There is no image {pk}.", status=404)
        return image
