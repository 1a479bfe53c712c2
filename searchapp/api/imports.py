"""The REST API of imports: begun, looked at, paused, cancelled, repeated."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.core.pagination import PAGING, ItemPages, JobPages
from searchapp.api.core.permissions import denied, require_editor, visible_dataset
from searchapp.api.core.strict import StrictView, fields_beside_files
from searchapp.api.serializers import (
    FIRST_ITEMS,
    ImportRequestSerializer,
    ItemSerializer,
    JobSerializer,
    JobSummarySerializer,
)
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import Dataset, ImportJob, ItemState, JobState, SourceKind
from searchapp.services.errors import Invalid
from searchapp.services.imports import control, creation, job_progress, ledger_report
from searchapp.services.imports.options import ImportOptions


def job_of(request: Request, pk: UUID, *, control: bool = False) -> ImportJob:
    """Return a job that the user may see, or control; another one is not there for them (404)."""
    seen = ledger_report.jobs_visible_to(request.user).select_related("dataset")
    job = get_object_or_404(seen, pk=pk)
    if control and not ledger_report.may_control(job, request.user):
        sentence = "Only an editor or owner of this dataset may control its imports."
        raise denied(request, sentence, "not_editor")
    return job


def job_body(job: ImportJob) -> dict[str, Any]:
    items = list(job.items.order_by("position")[:FIRST_ITEMS])
    context = {"progress": job_progress.progress_of([job]), "items": items}
    return JobSerializer(job, context=context).data


def _page(view: StrictView, request: Request, jobs: Any) -> Response:
    state = request.query_params.get("state")
    if state is not None:
        if state not in JobState.values:
            raise Invalid("invalid_state", f"state is one of: {', '.join(JobState.values)}.")
        jobs = jobs.filter(state=state)
    pages = JobPages()
    page: list[ImportJob] = (
        pages.paginate_queryset(jobs.select_related("dataset"), request, view) or []
    )
    context = {"progress": job_progress.progress_of(page)}
    body = JobSummarySerializer(page, many=True, context=context).data
    return pages.get_paginated_response(body)


_STATE = OpenApiParameter("state", str, enum=JobState.values)


class DatasetImports(StrictView):
    """The imports of a dataset, newest first, and new ones."""

    pagination_class = JobPages
    parameters = {"GET": ("state", *PAGING)}
    parser_classes = [JSONParser, MultiPartParser]

    @extend_schema(parameters=[_STATE], responses=JobSummarySerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        return _page(
            self, request, ledger_report.jobs_visible_to(request.user).filter(dataset=dataset)
        )

    @extend_schema(request=ImportRequestSerializer, responses={201: JobSerializer})
    def post(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        require_editor(request, dataset)
        serializer = ImportRequestSerializer(data=fields_beside_files(request))
        serializer.is_valid(raise_exception=True)
        options = ImportOptions.from_dict(serializer.validated_data["options"])
        files = cast(list[HashedUpload], request.FILES.getlist("file"))
        job = self._created(request, dataset, serializer.validated_data, options, files)
        job.refresh_from_db()
        return Response(job_body(job), status=201)

    def _created(
        self,
        request: Request,
        dataset: Dataset,
        data: dict[str, Any],
        options: ImportOptions,
        files: list[HashedUpload],
    ) -> ImportJob:
        kind = SourceKind(data["kind"])
        if kind == SourceKind.UPLOAD and not (files or data["open"]):
            raise Invalid("no_file", "Send files in the multipart field `file`, or set `open`.")
        name = data["name"] or (files[0].name if len(files) == 1 else "") or ""
        job = creation.create(
            dataset,
            user=request.user,
            kind=kind,
            name=name,
            location=data["location"],
            options=options,
            is_open=bool(files) or data["open"],
        )
        try:
            for file in files:
                creation.add_upload(job, file, name=file.name or "")
        finally:
            if files and not data["open"]:
                creation.close(job)
        return job


class JobList(StrictView):
    """One's own imports, and those of datasets that one may edit, newest first."""

    pagination_class = JobPages
    parameters = {"GET": ("state", *PAGING)}
    problems = {"GET": (404,)}

    @extend_schema(parameters=[_STATE], responses=JobSummarySerializer(many=True))
    def get(self, request: Request) -> Response:
        return _page(self, request, ledger_report.jobs_visible_to(request.user))


class JobDetail(StrictView):
    """How far an import has come, and the first rows of its ledger."""

    @extend_schema(responses=JobSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(job_body(job_of(request, pk)))


class JobItems(StrictView):
    """The ledger of an import, in its order."""

    pagination_class = ItemPages
    parameters = {"GET": ("state", *PAGING)}

    @extend_schema(
        parameters=[OpenApiParameter("state", str, enum=ItemState.values)],
        responses=ItemSerializer(many=True),
    )
    def get(self, request: Request, pk: UUID) -> Response:
        items = job_of(request, pk).items.all()
        state = request.query_params.get("state")
        if state is not None:
            if state not in ItemState.values:
                raise Invalid("invalid_state", f"state is one of: {', '.join(ItemState.values)}.")
            items = items.filter(state=state)
        pages = self.pagination_class()
        page = pages.paginate_queryset(items, request, self)
        return pages.get_paginated_response(ItemSerializer(page, many=True).data)


class _Csv(BaseRenderer):
    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        """Only errors come here; the table itself is streamed."""
        return json.dumps(data).encode()


class JobLedger(StrictView):
    """The ledger as a table."""

    renderer_classes = [_Csv, JSONRenderer]

    @extend_schema(responses={(200, "text/csv"): str})
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        job = job_of(request, pk)
        response = StreamingHttpResponse(
            ledger_report.ledger_csv(job), content_type="text/csv; charset=utf-8"
        )
        response["Content-Disposition"] = f'attachment; filename="import-{job.pk}.csv"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


class JobAction(StrictView):
    """Pause, resume, cancel, repeat or close an import."""

    without_body = ("POST",)
    problems = {"POST": (409,)}
    action = ""
    _actions = {
        "pause": control.pause,
        "resume": control.resume,
        "cancel": control.cancel,
        "retry": control.retry_failed,
        "close": creation.close,
    }

    @extend_schema(request=None, responses=JobSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        if self.action not in self._actions:
            raise Http404
        job = job_of(request, pk, control=True)
        self._actions[self.action](job)
        job.refresh_from_db()
        return Response(job_body(job))
