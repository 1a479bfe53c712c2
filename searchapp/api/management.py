"""Managing by program: members, many images at once, copies, and what was deleted."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.core.permissions import require_editor, require_owner, visible_dataset
from searchapp.api.core.strict import StrictView
from searchapp.api.serializers import (
    BulkAnswerSerializer,
    BulkSerializer,
    CopyAnswerSerializer,
    CopySerializer,
    DatasetSerializer,
    ImageSerializer,
    MemberSerializer,
    RoleSerializer,
    TransferSerializer,
)
from searchapp.models import Dataset, Image, ImageState
from searchapp.services.datasets import dataset_deletion, dataset_service, members
from searchapp.services.images import bulk_actions, image_deletion
from searchapp.services.images.bulk_actions import Action, Outcome
from searchapp.services.images.selection import Selection, of_filter, of_keys
from searchapp.services.ingest import acceptance


def _managed(request: Request, slug: str) -> Dataset:
    dataset = visible_dataset(request, slug)
    require_owner(request, dataset)
    return dataset


def _body(dataset: Dataset) -> dict[str, object]:
    context = {"counts": dataset_service.counts_of([dataset])}
    return DatasetSerializer(dataset, context=context).data


class Members(StrictView):
    """Who is in a dataset, and with which role."""

    @extend_schema(responses=MemberSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        rows = members.members_of(_managed(request, slug))
        return Response(MemberSerializer(rows, many=True).data)


class MemberDetail(StrictView):
    """One member."""

    problems = {"PUT": (409,), "DELETE": (409,)}

    @extend_schema(responses=MemberSerializer)
    def get(self, request: Request, slug: str, username: str) -> Response:
        member = members.find(_managed(request, slug), username)
        if member is None:
            raise Http404
        return Response(MemberSerializer(member).data)

    @extend_schema(request=RoleSerializer, responses=MemberSerializer)
    def put(self, request: Request, slug: str, username: str) -> Response:
        dataset = _managed(request, slug)
        serializer = RoleSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        member = members.put(dataset, username, serializer.validated_data["role"])
        return Response(MemberSerializer(member).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, username: str) -> Response:
        dataset = visible_dataset(request, slug)
        if username != cast(User, request.user).get_username():  # anybody may leave
            require_owner(request, dataset)
        members.remove(dataset, username)
        return Response(status=204)


class Transfer(StrictView):
    """Hand a dataset over to somebody else."""

    problems = {"POST": (409,)}

    @extend_schema(request=TransferSerializer, responses=MemberSerializer(many=True))
    def post(self, request: Request, slug: str) -> Response:
        dataset = _managed(request, slug)
        if not members.may_transfer(dataset, cast(User, request.user)):
            raise members.NotTheHolder(dataset)
        serializer = TransferSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        members.transfer(dataset, serializer.validated_data["username"])
        return Response(MemberSerializer(members.members_of(dataset), many=True).data)


class Restore(StrictView):
    """Bring a deleted dataset back, by the slug that it had."""

    without_body = ("POST",)
    problems = {"POST": (409, 410)}

    @extend_schema(request=None, responses=DatasetSerializer)
    def post(self, request: Request, slug: str) -> Response:
        dataset = dataset_deletion.deleted_for(request.user).filter(slug_before=slug).first()
        if dataset is None:
            raise Http404
        return Response(_body(dataset_deletion.restore_dataset(dataset)))


class Copy(StrictView):
    """Copy a whole dataset into a new one."""

    @extend_schema(request=CopySerializer, responses={202: CopyAnswerSerializer})
    def post(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        serializer = CopySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = cast(User, request.user)
        new_dataset, job = bulk_actions.copy_dataset(
            dataset, name=serializer.validated_data["name"], user=user
        )
        return Response({"dataset": _body(new_dataset), "job": str(job.pk)}, status=202)


class Bulk(StrictView):
    """One action on many images."""

    problems = {"POST": (409, 410)}

    @extend_schema(
        request=BulkSerializer, responses={200: BulkAnswerSerializer, 202: BulkAnswerSerializer}
    )
    def post(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        serializer = BulkSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        outcome = self._carry_out(request, dataset, serializer.validated_data)
        return Response(
            {
                "number": outcome.number,
                "job": None if outcome.job is None else str(outcome.job.pk),
                "deleted_at": outcome.moment or None,
                "edit": outcome.edit or None,
            },
            status=200 if outcome.job is None else 202,
        )

    def _carry_out(self, request: Request, dataset: Dataset, data: dict[str, object]) -> Outcome:
        user = cast(User, request.user)
        action = str(data["action"])
        if action != Action.COPY:
            require_editor(request, dataset)
        if action == Action.UNDO:
            return bulk_actions.undo_edit(dataset, cast(UUID, data["edit"]), user=user)
        selection = _selection(data)
        if action in (Action.COPY, Action.MOVE):
            target = visible_dataset(request, str(data["target"]))
            require_editor(request, target)
            return bulk_actions.copy(
                dataset, selection, target, user=user, move=action == Action.MOVE
            )
        change = bulk_actions.change_of(
            action, label=data.get("label", ""), add=data["add_tags"], remove=data["remove_tags"]
        )
        return bulk_actions.carry_out(dataset, selection, change, user=user)


def _selection(data: dict[str, object]) -> Selection:
    if "ids" in data:
        return of_keys(cast(list[int], data["ids"]))
    chosen = cast(dict[str, str], data["filter"])
    return of_filter(chosen["state"], chosen["label"], chosen["deleted_at"])


class RestoreImage(StrictView):
    """Bring a deleted image back."""

    without_body = ("POST",)
    problems = {"POST": (410,)}

    @extend_schema(request=None, responses=ImageSerializer)
    def post(self, request: Request, pk: int) -> Response:
        visible = Dataset.objects.visible_to(request.user)
        gone = Image.objects.filter(state=ImageState.DELETED, dataset__in=visible)
        image = get_object_or_404(gone.select_related("dataset"), pk=pk)
        if image.dataset.role_of(request.user) is None:
            raise Http404  # what was deleted is nobody else's business
        require_editor(request, image.dataset)
        image_deletion.restore_image(image)
        acceptance.wake(1)
        image.refresh_from_db()
        return Response(ImageSerializer(image, context={"request": request}).data)
