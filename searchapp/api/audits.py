"""The REST API of audits, for staff."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.core.permissions import denied
from searchapp.api.core.strict import StrictSerializer, StrictView
from searchapp.models import AuditReport, Dataset
from searchapp.services import audit

_LISTED = 100


class AuditSerializer(serializers.ModelSerializer[AuditReport]):
    class Meta:
        model = AuditReport
        fields = [
            "id", "dataset", "deep", "repair", "started", "ended", "left", "counts", "checked",
            "error_detail",
        ]  # fmt: skip


class AuditDetailSerializer(AuditSerializer):
    class Meta(AuditSerializer.Meta):
        fields = [*AuditSerializer.Meta.fields, "findings"]


class AuditListSerializer(serializers.Serializer[Any]):
    results = AuditSerializer(many=True)


class NewAuditSerializer(StrictSerializer):
    deep = serializers.BooleanField(default=False)
    repair = serializers.BooleanField(default=False)
    dataset = serializers.SlugRelatedField[Dataset](
        slug_field="slug",
        queryset=Dataset.objects.filter(deleted=None),
        allow_null=True,
        default=None,
    )


class _ForStaff(StrictView):
    """Reports name pictures of every dataset."""

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        if not request.user.is_staff:
            raise denied(request, "Only staff may look at audits.", "not_staff")


class AuditList(_ForStaff):
    """Audits, newest first, and new ones, which workers carry out."""

    problems = {"POST": (409,)}

    @extend_schema(operation_id="v1_audits_list", responses=AuditListSerializer)
    def get(self, request: Request) -> Response:
        reports = AuditReport.objects.order_by("-pk")[:_LISTED]
        return Response({"results": AuditSerializer(reports, many=True).data})

    @extend_schema(request=NewAuditSerializer, responses={202: AuditSerializer})
    def post(self, request: Request) -> Response:
        serializer = NewAuditSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        report = audit.start(**serializer.validated_data, user=request.user)
        return Response(AuditSerializer(report).data, status=202)


class AuditDetail(_ForStaff):
    """One audit, with the first findings of each kind."""

    @extend_schema(responses=AuditDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        report = AuditReport.objects.filter(pk=pk).first()
        if report is None:
            raise Http404
        return Response(AuditDetailSerializer(report).data)
