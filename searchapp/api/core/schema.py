"""The OpenAPI schema: what every operation has, beside what each view declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS

from searchapp.api.core.errors import CONTENT_TYPE, phrase
from searchapp.api.core.strict import StrictSerializer
from searchapp.models import Scope

# Of any operation: an unknown parameter, a wrong key, no right to it, no JSON wanted, wrong keys
# too often, a service that is away.
_ALWAYS = (400, 401, 403, 406, 429, 503)
_WITH_BODY = (413, 415)
# Of pictures that come with a request, or by its address, and are looked at on the spot.
PICTURE_PROBLEMS = (404, 409, 410, 422, 504, 507)


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem document (RFC 9457); `errors` comes with the code `invalid`."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    errors = serializers.JSONField(required=False)  # type: ignore[assignment]


class Schema(AutoSchema):
    """Adds problem documents, use without a key, and that unknown fields are refused."""

    def get_auth(self) -> list[dict[str, Any]]:
        auths: list[dict[str, Any]] = super().get_auth()
        default = Scope.READ if self.method in SAFE_METHODS else Scope.WRITE
        reads = getattr(self.view, "scope", default) == Scope.READ
        return [*auths, {}] if reads and {} not in auths else auths

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        problem = self.resolve_serializer(ProblemSerializer, "response").ref
        for status in sorted(self._problems()):
            content = {CONTENT_TYPE: {"schema": problem}}
            bodies[str(status)] = {"description": phrase(status), "content": content}
        return bodies

    def _problems(self) -> Iterable[int]:
        statuses = {*_ALWAYS}
        if "{" in self.path:
            statuses.add(HTTPStatus.NOT_FOUND)
        if self.method not in SAFE_METHODS:
            statuses |= {*_WITH_BODY}
        problems: Mapping[str, Iterable[int]] = getattr(self.view, "problems", {})
        return statuses | {*problems.get(self.method, ())}

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> dict[str, Any]:
        schema: dict[str, Any] = super()._map_basic_serializer(  # type: ignore[no-untyped-call]
            serializer, direction
        )
        strict = isinstance(serializer, StrictSerializer) or (
            isinstance(serializer, type) and issubclass(serializer, StrictSerializer)
        )
        if direction == "request" and strict:
            schema["additionalProperties"] = False
        return schema


def add_head(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Declare HEAD of uploads, which drf-spectacular leaves out: a hook after its generation."""
    address = result["paths"]["/api/v1/uploads/{id}/"]
    delete = address["delete"]
    number = {"schema": {"type": "integer"}, "required": True}
    text = {"schema": {"type": "string"}, "required": True}
    empty = {
        status: {"description": answer["description"]}
        for status, answer in delete["responses"].items()
        if not status.startswith("2") and int(status) not in _WITH_BODY
    }
    address["head"] = {
        **{name: delete[name] for name in ("parameters", "tags", "security")},
        "operationId": "uploads_progress",
        "description": "How much has arrived: where to go on.",
        "responses": {
            "200": {
                "description": "No response body",
                "headers": {
                    "Upload-Offset": number,
                    "Upload-Length": number,
                    "Upload-Metadata": text,
                    "Tus-Resumable": text,
                },
            },
            **empty,
        },
    }
    return result
