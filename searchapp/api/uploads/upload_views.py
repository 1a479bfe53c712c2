"""Resumable uploads, by the protocol tus 1.0.0: https://tus.io/protocols/resumable-upload.

With its extensions creation, creation-with-upload, termination, expiration and checksum. Bodies are
read piece by piece and go to the disk at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponseBase, UnreadablePostError
from django.urls import reverse
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.core.permissions import require_editor
from searchapp.api.core.strict import StrictView
from searchapp.api.uploads import tus
from searchapp.models import Dataset, ImportJob, PartialUpload
from searchapp.services.errors import Invalid, ServiceError
from searchapp.services.uploads import resumable


def _header(name: str, kind: type = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, required=True)


_BYTES = {tus.CONTENT_TYPE: OpenApiTypes.BINARY}


class _Untouched(BaseParser):
    """Leaves the body where it is: to look for a form in it, as the check of a session's token
    does, must read nothing of it."""

    media_type = "*/*"

    def parse(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {}


class _TusView(StrictView):
    """What each request and answer of the protocol has."""

    parser_classes = [_Untouched]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        override = request.headers.get("X-HTTP-Method-Override", "").upper()
        if request.method == "POST" and override in ("PATCH", "HEAD", "DELETE"):
            request.method = override  # for senders whose way here lets only POST through
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method != "OPTIONS":
            tus.check_version(request.headers.get("Tus-Resumable"))

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer["Tus-Resumable"] = tus.VERSION
        answer["Cache-Control"] = "no-store"
        if answer.status_code == 412:
            answer["Tus-Version"] = tus.VERSION
        return answer

    @extend_schema(exclude=True)
    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        return Response(
            status=204,
            headers={
                "Tus-Version": tus.VERSION,
                "Tus-Extension": tus.EXTENSIONS,
                "Tus-Max-Size": str(resumable.largest()),
                "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
                "Allow": ", ".join(self.allowed_methods),
            },
        )


class UploadList(_TusView):
    """New uploads."""

    problems = {"POST": (404, 409, 411, 412, 423, 429, 460, 507)}

    @extend_schema(
        parameters=[
            _header("Tus-Resumable"),
            _header("Upload-Length", int),
            _header("Upload-Metadata"),
        ],
        request=_BYTES,
        responses={201: None},
    )
    def post(self, request: Request) -> Response:
        announced, job_key = tus.announcement(request.headers)
        length = tus.body_length(request.headers)
        job = _job(request, job_key)
        upload = resumable.announce(job, cast(User, request.user), announced)
        if not upload._state.adding:
            offset = resumable.offset_of(upload)
        elif length or not upload.size:
            with _body(request, length) as read:
                upload = resumable.receive(upload, 0, read, length)
            offset = resumable.offset_of(upload)
        else:
            upload, offset = resumable.save(upload), 0
        address = request.build_absolute_uri(reverse("api-upload", args=[upload.pk]))
        return Response(status=201, headers={"Location": address, **_standing(upload, offset)})


class UploadDetail(_TusView):
    """One upload that is on its way."""

    problems = {"PATCH": (409, 411, 412, 423, 460, 507), "DELETE": (412, 423)}

    def _upload(self, request: Request, pk: UUID) -> PartialUpload:
        rows = PartialUpload.objects.select_related("job__dataset")
        upload = rows.filter(pk=pk, user=request.user.pk).first()
        if upload is None or upload.job.dataset.deleted is not None:
            raise Http404
        require_editor(request, upload.job.dataset)
        return upload

    def head(self, request: Request, pk: UUID) -> Response:
        """How much has arrived: where to go on."""
        upload = self._upload(request, pk)
        offset = resumable.offset_of(upload)
        headers = {
            **_standing(upload, offset),
            "Upload-Length": str(upload.size),
            "Upload-Metadata": tus.written_metadata(upload.given.get("sent") or {}),
        }
        return Response(status=200, headers=headers)

    @extend_schema(
        parameters=[
            _header("Tus-Resumable"),
            _header("Upload-Offset", int),
        ],
        request=_BYTES,
        responses={204: None},
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        offset = tus.number(request.headers, "Upload-Offset")
        length = tus.body_length(request.headers)
        upload = self._upload(request, pk)
        with _body(request, length) as read:
            upload = resumable.receive(upload, offset, read, length)
        return Response(status=204, headers=_standing(upload, resumable.offset_of(upload)))

    @extend_schema(parameters=[_header("Tus-Resumable")], responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        resumable.remove(self._upload(request, pk))
        return Response(status=204)


def _job(request: Request, key: str) -> ImportJob:
    visible = ImportJob.objects.filter(dataset__in=Dataset.objects.visible_to(request.user))
    try:
        job = visible.select_related("dataset").filter(pk=key).first()
    except ValidationError:
        job = None
    if job is None:
        raise ServiceError("not_found", f"There is no import '{key[:40]}'.", status=404)
    require_editor(request, job.dataset)
    return job


def _standing(upload: PartialUpload, offset: int) -> dict[str, str]:
    headers = {"Upload-Offset": str(offset)}
    ends = resumable.expires(upload)
    if ends is not None:
        headers["Upload-Expires"] = http_date(ends.timestamp())
    return headers


@contextmanager
def _body(request: Request, length: int) -> Iterator[tus.Read]:
    """The request's bytes, `read(n)` at a time, their checksum proved before the first one where
    the sender gave one. (What is bad must not be written, and what is written is not taken back.)
    """
    read_body = request._request.read
    try:
        with tus.proved(read_body, length, request.headers.get("Upload-Checksum")) as read:
            yield read
    except UnreadablePostError:
        raise Invalid(
            "body_incomplete", "The connection broke: ask how much has arrived, and go on there."
        ) from None
