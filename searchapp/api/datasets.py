"""The REST API, version 1: datasets and images."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.core.pagination import PAGING, DatasetPages, ImagePages
from searchapp.api.core.permissions import require_editor, require_owner, visible_dataset
from searchapp.api.core.strict import StrictView, fields_beside_files
from searchapp.api.serializers import (
    DatasetSerializer,
    EditedImageSerializer,
    ImageSerializer,
    ItemSerializer,
    UploadAnswerSerializer,
    UploadRequestSerializer,
    UploadSerializer,
)
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import Dataset, Image, ImageState
from searchapp.services.datasets import dataset_deletion, dataset_service
from searchapp.services.errors import Invalid
from searchapp.services.images import image_deletion, image_edits
from searchapp.services.ingest import acceptance


def _dataset_body(dataset: Dataset) -> dict[str, Any]:
    context = {"counts": dataset_service.counts_of([dataset])}
    return DatasetSerializer(dataset, context=context).data


class DatasetList(StrictView):
    """The datasets that one may see, and new ones."""

    pagination_class = DatasetPages
    parameters = {"GET": PAGING}
    problems = {"GET": (404,), "POST": (409,)}

    @extend_schema(responses=DatasetSerializer(many=True))
    def get(self, request: Request) -> Response:
        pages = self.pagination_class()
        page = pages.paginate_queryset(Dataset.objects.visible_to(request.user), request) or []
        context = {"counts": dataset_service.counts_of(page)}
        return pages.get_paginated_response(
            DatasetSerializer(page, many=True, context=context).data
        )

    @extend_schema(request=DatasetSerializer, responses={201: DatasetSerializer})
    def post(self, request: Request) -> Response:
        serializer = DatasetSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        dataset = dataset_service.create_dataset(
            owner=cast(User, request.user), **serializer.validated_data
        )
        return Response(_dataset_body(dataset), status=201)


class DatasetDetail(StrictView):
    """One dataset."""

    problems = {"PATCH": (409, 410), "DELETE": (410,)}

    @extend_schema(responses=DatasetSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(_dataset_body(visible_dataset(request, slug)))

    @extend_schema(request=DatasetSerializer, responses=DatasetSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        require_owner(request, dataset)
        serializer = DatasetSerializer(dataset, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        dataset_service.change_dataset(dataset, **serializer.validated_data)
        return Response(_dataset_body(visible_dataset(request, dataset.slug)))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        require_owner(request, dataset)
        dataset_deletion.delete_dataset(dataset)
        return Response(status=204)


class DatasetImages(StrictView):
    """The images of a dataset, newest first, and new ones."""

    pagination_class = ImagePages
    parameters = {"GET": ("state", *PAGING)}
    problems = {"POST": (410, 507)}
    parser_classes = [MultiPartParser]

    @extend_schema(
        parameters=[OpenApiParameter("state", str, enum=ImageState.values)],
        responses=ImageSerializer(many=True),
    )
    def get(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        images = dataset.images.select_related("dataset")
        state = request.query_params.get("state")
        if state is None:
            may_edit = dataset.may_edit(request.user)
            images = images.there() if may_edit else images.filter(state=ImageState.READY)
        elif state in ImageState.values:
            if state != ImageState.READY:  # what is not ready is for those who can do something
                require_editor(request, dataset)
            images = images.filter(state=state)
        else:
            raise Invalid("invalid_state", f"state is one of: {', '.join(ImageState.values)}.")
        pages = self.pagination_class()
        page = pages.paginate_queryset(images, request)
        body = ImageSerializer(page, many=True, context={"request": request}).data
        return pages.get_paginated_response(body)

    @extend_schema(request=UploadRequestSerializer, responses={202: UploadAnswerSerializer})
    def post(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        require_editor(request, dataset)
        uploads = cast(list[HashedUpload], request.FILES.getlist("file"))
        if not uploads:
            raise Invalid("no_file", "Send one or more files in the multipart field `file`.")
        serializer = UploadSerializer(data=fields_beside_files(request))
        serializer.is_valid(raise_exception=True)
        job = acceptance.accept(dataset, uploads, user=request.user, **serializer.validated_data)
        items = ItemSerializer(job.items.all(), many=True).data
        return Response({"job": str(job.pk), "items": items}, status=202)


class ImageDetail(StrictView):
    """One image."""

    def _image(self, request: Request, pk: int) -> Image:
        visible = Image.objects.visible_to(request.user).select_related("dataset")
        return get_object_or_404(visible, pk=pk)

    @extend_schema(responses=ImageSerializer)
    def get(self, request: Request, pk: int) -> Response:
        return self._answer(request, self._image(request, pk))

    @extend_schema(request=ImageSerializer, responses=EditedImageSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        image = self._image(request, pk)
        require_editor(request, image.dataset)
        serializer = ImageSerializer(
            image, data=request.data, partial=True, context={"request": request}
        )
        serializer.is_valid(raise_exception=True)
        edit = image_edits.edit_image(image, serializer.validated_data)
        answer = self._answer(request, self._image(request, pk))
        answer.data["edit"] = edit
        return answer

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        image = self._image(request, pk)
        require_editor(request, image.dataset)
        image_deletion.delete_image(image)
        return Response(status=204)

    def _answer(self, request: Request, image: Image) -> Response:
        return Response(ImageSerializer(image, context={"request": request}).data)
