"""What goes over the wire. Input is checked here; output has the shapes of `docs/api.md`."""

from __future__ import annotations

import json
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from searchapp.api.core.strict import StrictSerializer
from searchapp.models import (
    Dataset,
    Image,
    ImportItem,
    ImportJob,
    Role,
    SourceKind,
    Visibility,
)
from searchapp.services.images.bulk_actions import Action
from searchapp.services.images.selection import FILTERS, MAX_KEY, MAX_KEYS
from searchapp.services.imports import image_fields

SELECTED_STATES = list(FILTERS)
MAX_METADATA_BYTES = 16_384
MAX_METADATA_DEPTH = 20


class DatasetSerializer(StrictSerializer, serializers.ModelSerializer[Dataset]):
    slug = serializers.CharField(required=False, max_length=80)
    visibility = serializers.ChoiceField(choices=Visibility.choices, default=Visibility.PRIVATE)
    counts = serializers.SerializerMethodField()

    class Meta:
        model = Dataset
        fields = ["slug", "name", "description", "visibility", "counts", "created", "updated"]
        read_only_fields = ["created", "updated"]

    def get_counts(self, dataset: Dataset) -> dict[str, int]:
        return self.context["counts"][dataset.pk]  # type: ignore[no-any-return]


def _error(row: Image | ImportItem | ImportJob) -> dict[str, str] | None:
    return {"code": row.error_code, "detail": row.error_detail} if row.error_code else None


class MetadataField(serializers.JSONField):
    """A JSON object; in a form, its text."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        try:
            if isinstance(data, str):
                data = json.loads(data)
            # NaN, endless numbers and lone surrogates are no JSON that every reader can take.
            written = json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise serializers.ValidationError("This is not JSON.") from None
        except TypeError:  # a part of the form with a file name is a file
            raise serializers.ValidationError("Send this as text, not as a file.") from None
        if not isinstance(data, dict):
            raise serializers.ValidationError('This must be a JSON object, such as {"year": 1969}.')
        if len(written) > MAX_METADATA_BYTES:
            raise serializers.ValidationError(f"At most {MAX_METADATA_BYTES} bytes are kept.")
        _check_values(data)
        return data


def _check_values(data: dict[str, Any]) -> None:
    """Refuse what some database or page could not take: NUL characters and deep nesting."""
    level: list[Any] = [data]
    for _ in range(MAX_METADATA_DEPTH):
        inner: list[Any] = []
        for value in level:
            inner += [*value, *value.values()] if isinstance(value, dict) else value
        if any(isinstance(value, str) and "\0" in value for value in inner):
            raise serializers.ValidationError("The character NUL cannot be kept.")
        level = [value for value in inner if isinstance(value, dict | list)]
        if not level:
            return
    raise serializers.ValidationError(f"At most {MAX_METADATA_DEPTH} levels of nesting are kept.")


class TagsField(serializers.ListField):
    """A list of words, each once."""

    child = serializers.CharField(max_length=image_fields.TAG_LENGTH, allow_blank=True)

    def to_internal_value(self, data: Any) -> list[str]:
        try:
            return list(image_fields.tags(super().to_internal_value(data)))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None


class MemberSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)
    is_holder = serializers.BooleanField(read_only=True)


class RoleSerializer(StrictSerializer):
    role = serializers.ChoiceField(choices=Role.choices)


class TransferSerializer(StrictSerializer):
    username = serializers.CharField(max_length=150)


class CopySerializer(StrictSerializer):
    name = serializers.CharField(max_length=120)


class FilterSerializer(StrictSerializer):
    """All images of one state, of one label if wanted, that were there when this was asked."""

    state = serializers.ChoiceField(choices=SELECTED_STATES)
    label = serializers.CharField(  # type: ignore[assignment]
        max_length=image_fields.LABEL_LENGTH, default=""
    )
    deleted_at = serializers.CharField(max_length=40, default="")


class BulkSerializer(StrictSerializer):
    """One action on many images: those of `ids`, all of `filter`, or, to undo it, of an `edit`."""

    action = serializers.ChoiceField(choices=[str(action) for action in Action])
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MAX_KEY),
        max_length=MAX_KEYS,
        required=False,
    )
    filter = FilterSerializer(required=False)
    label = serializers.CharField(  # type: ignore[assignment]
        max_length=image_fields.LABEL_LENGTH, allow_blank=True, required=False
    )
    add_tags = TagsField(default=list)
    remove_tags = TagsField(default=list)
    target = serializers.CharField(max_length=80, required=False)
    edit = serializers.UUIDField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["action"] == Action.UNDO:
            if "edit" not in attrs or "ids" in attrs or "filter" in attrs:
                raise serializers.ValidationError(
                    "The action undo takes `edit`, the id of an edit, and nothing else."
                )
        elif "edit" in attrs:
            raise serializers.ValidationError("`edit` goes with the action undo.")
        elif ("ids" in attrs) == ("filter" in attrs):
            raise serializers.ValidationError("Send either `ids` or `filter`.")
        if (attrs["action"] == Action.LABEL) != ("label" in attrs):
            raise serializers.ValidationError(
                "`label` goes with the action label; an empty one takes labels away."
            )
        if (attrs["action"] in (Action.COPY, Action.MOVE)) != ("target" in attrs):
            raise serializers.ValidationError(
                "`target`, the slug of a dataset, goes with the actions copy and move."
            )
        return attrs


class BulkAnswerSerializer(serializers.Serializer[Any]):
    """`number` images were changed or, with a `job`, will be."""

    number = serializers.IntegerField()
    job = serializers.UUIDField(allow_null=True)
    deleted_at = serializers.CharField(allow_null=True)
    edit = serializers.UUIDField(allow_null=True)


class CopyAnswerSerializer(serializers.Serializer[Any]):
    """The new dataset, and the job that fills it."""

    dataset = DatasetSerializer()
    job = serializers.UUIDField()


class ImageSerializer(StrictSerializer, serializers.ModelSerializer[Image]):
    dataset = serializers.SlugRelatedField[Dataset](slug_field="slug", read_only=True)
    error = serializers.SerializerMethodField()
    title = serializers.CharField(max_length=255, allow_blank=True, required=False)
    label = serializers.CharField(  # type: ignore[assignment]
        max_length=image_fields.LABEL_LENGTH, allow_blank=True, required=False
    )
    tags = TagsField(required=False)
    metadata = MetadataField(required=False)
    url = serializers.SerializerMethodField()
    thumbnail_url = serializers.SerializerMethodField()

    class Meta:
        model = Image
        fields = [
            "id", "dataset", "state", "error", "name", "title", "label", "tags", "url",
            "thumbnail_url", "width", "height", "bytes", "format", "sha256", "metadata", "source",
            "created", "deleted_at",
        ]  # fmt: skip
        read_only_fields = [
            name for name in fields if name not in ("title", "label", "tags", "metadata")
        ]

    def get_error(self, image: Image) -> dict[str, str] | None:
        return _error(image)

    def get_url(self, image: Image) -> str:
        return absolute(self.context["request"], image.original_url)

    def get_thumbnail_url(self, image: Image) -> str:
        return absolute(self.context["request"], image.thumbnail_url())


class EditedImageSerializer(ImageSerializer):
    """An image after an edit; `edit` is null where nothing changed."""

    edit = serializers.UUIDField(read_only=True, allow_null=True)

    class Meta(ImageSerializer.Meta):
        fields = [*ImageSerializer.Meta.fields, "edit"]


class UploadSerializer(StrictSerializer):
    """Fields that come with the files of an upload."""

    title = serializers.CharField(max_length=255, allow_blank=True, default="")
    metadata = MetadataField(default=dict)


class UploadRequestSerializer(UploadSerializer):
    """For the schema: DRF's own file field would refuse a whole request for one empty file."""

    file = serializers.ListField(child=serializers.FileField())


class ItemSerializer(serializers.ModelSerializer[ImportItem]):
    id = serializers.IntegerField(source="image_id", allow_null=True)
    error = serializers.SerializerMethodField()

    class Meta:
        model = ImportItem
        fields = ["id", "name", "state", "duplicate", "error", "attempts", "duration"]

    def get_error(self, item: ImportItem) -> dict[str, str] | None:
        return _error(item)


class UploadAnswerSerializer(serializers.Serializer[Any]):
    job = serializers.UUIDField()
    items = ItemSerializer(many=True)


# Rows of the ledger that come with a job; the others have an address of their own.
FIRST_ITEMS = 100
_PROGRESS = (
    "state", "total", "ready", "rejected", "failed", "checked", "cancelled", "waiting",
)  # fmt: skip


class JobSummarySerializer(serializers.ModelSerializer[ImportJob]):
    dataset = serializers.SlugRelatedField[Dataset](slug_field="slug", read_only=True)
    state = serializers.CharField(read_only=True)
    open = serializers.BooleanField(source="is_open", read_only=True)
    error = serializers.SerializerMethodField()
    ready = serializers.IntegerField(read_only=True)
    rejected = serializers.IntegerField(read_only=True)
    failed = serializers.IntegerField(read_only=True)
    checked = serializers.IntegerField(read_only=True)
    cancelled = serializers.IntegerField(read_only=True)
    waiting = serializers.IntegerField(read_only=True)
    rate = serializers.FloatField(read_only=True, allow_null=True)
    seconds = serializers.FloatField(read_only=True)
    seconds_left = serializers.FloatField(read_only=True, allow_null=True)

    class Meta:
        model = ImportJob
        fields = [
            "id", "dataset", "name", "kind", "state", "open", "options", "error", "total", "ready",
            "rejected", "failed", "checked", "cancelled", "waiting", "rate", "seconds",
            "seconds_left", "created", "ended",
        ]  # fmt: skip

    def get_error(self, job: ImportJob) -> dict[str, str] | None:
        return _error(job)

    def to_representation(self, job: ImportJob) -> dict[str, Any]:
        progress = self.context["progress"][job.pk]
        body = super().to_representation(job)
        body |= {name: getattr(progress, name) for name in _PROGRESS}
        for name in ("rate", "seconds", "seconds_left"):
            value = getattr(progress, name)
            body[name] = None if value is None else round(value, 2)
        return body


class JobSerializer(JobSummarySerializer):
    items = serializers.SerializerMethodField()

    class Meta(JobSummarySerializer.Meta):
        fields = [*JobSummarySerializer.Meta.fields, "items"]

    def get_items(self, job: ImportJob) -> list[dict[str, Any]]:
        return ItemSerializer(self.context["items"], many=True).data  # type: ignore[return-value]


class OptionsField(serializers.JSONField):
    """A JSON object; in a form, its text. What may be in it is the service's affair."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except (ValueError, RecursionError):
                raise serializers.ValidationError("This is not JSON.") from None
        if not isinstance(data, dict):
            raise serializers.ValidationError('This must be a JSON object, such as {"label": "a"}.')
        return data


class ImportRequestSerializer(StrictSerializer):
    """An import from a place that the server reads, or of files that come with the request."""

    kind = serializers.ChoiceField(
        choices=[kind for kind in SourceKind.choices if kind[0] != SourceKind.DATASET],
        default=SourceKind.UPLOAD,
    )
    location = serializers.CharField(max_length=2000, allow_blank=True, default="")
    name = serializers.CharField(max_length=255, allow_blank=True, default="")
    open = serializers.BooleanField(default=False)
    options = OptionsField(default=dict)


def absolute(request: Request, path: str) -> str:
    return f"{request.scheme}://{request.get_host()}{path}"
