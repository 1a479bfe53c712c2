"""`POST /api/v1/search/`."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from searchapp.api.serializers import SearchSerializer, search_answer
from searchapp.models import Dataset, Image, Index, Scope
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
        indexes = self._indexes(request, asked.get("dataset", ""))
        wanted = search.Wanted(indexes, asked["top_k"], asked["min_score"], verify=asked["verify"])
        box = asked["box"]
        query = image = None
        if "image" in asked:
            query, answer = search.search_upload(asked["image"], request.user, wanted, box)
        elif "url" in asked:
            query, answer = search.search_url(asked["url"], request.user, wanted, box)
        else:
            image = self._image(request, asked["image_id"])
            answer = search.answer_image(image, wanted, box)
        return Response(search_answer(answer, query, image, request))

    def _indexes(self, request: Request, slug: str) -> list[Index]:
        """What to look at: the dataset that was named, or all that the user may see."""
        visible = Dataset.objects.visible_to(request.user)
        if not slug:
            return search.indexes_of(visible)
        dataset = visible.named(slug)
        if dataset is None:
            raise ServiceError("not_found", f"There is no dataset '{slug}'.", status=404)
        return search.indexes_of(visible.filter(pk=dataset.pk))

    def _image(self, request: Request, pk: int) -> Image:
        visible = Image.objects.visible_to(request.user).select_related("dataset")
        image = visible.filter(pk=pk).first()
        if image is None:
            raise ServiceError("not_found", f"There is no image {pk}.", status=404)
        return image
