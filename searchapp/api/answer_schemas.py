"""The answers of searches and comparisons as the schema tells them.

The views write these answers by hand, for speed; `tests/api/test_schema.py` holds real ones
against this.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from embeddings.geometry.kinds import Edit, Kind

KINDS = [str(kind) for kind in Kind]
EDITS = [str(edit) for edit in Edit]


class BoxAnswerField(serializers.ListField):
    """Left, top, width and height, as parts of the picture."""

    child = serializers.FloatField(min_value=0, max_value=1)

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=4, max_length=4, **options)


class RowField(serializers.ListField):
    """Some numbers: a point, or a row of a matrix."""

    child = serializers.FloatField()


class PipelineNameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    fingerprint = serializers.CharField()


class QueryAnswerSerializer(serializers.Serializer[Any]):
    """The query picture: `id`, `page_url` and `expires` of one that is kept, else `image_id`."""

    width = serializers.IntegerField()
    height = serializers.IntegerField()
    sha256 = serializers.CharField()
    id = serializers.CharField(required=False)
    page_url = serializers.CharField(required=False)
    expires = serializers.DateTimeField(required=False)
    image_id = serializers.IntegerField(required=False)
    box = BoxAnswerField(required=False)


class TimingsSerializer(serializers.Serializer[Any]):
    """Milliseconds by stage."""

    decode = serializers.FloatField()
    embed = serializers.FloatField()
    search = serializers.FloatField()
    verify = serializers.FloatField()
    total = serializers.FloatField()


class CutoffSerializer(serializers.Serializer[Any]):
    score = serializers.FloatField()
    reason = serializers.CharField()
    nothing_like_it = serializers.BooleanField()
    kinds = serializers.DictField(child=serializers.IntegerField(min_value=0))


class FoundImageSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()
    url = serializers.CharField()
    thumbnail_url = serializers.CharField()
    width = serializers.IntegerField(allow_null=True)
    height = serializers.IntegerField(allow_null=True)
    metadata = serializers.DictField()


class ResultSerializer(serializers.Serializer[Any]):
    rank = serializers.IntegerField(min_value=1)
    score = serializers.FloatField(min_value=-1, max_value=1)
    kind = serializers.ChoiceField(choices=KINDS)
    edits = serializers.ListField(child=serializers.ChoiceField(choices=EDITS))
    reason = serializers.CharField()
    verified = serializers.BooleanField()
    copies = serializers.IntegerField(min_value=0)
    image = FoundImageSerializer()


class SearchAnswerSerializer(serializers.Serializer[Any]):
    query = QueryAnswerSerializer()
    pipeline = PipelineNameSerializer()
    took_ms = TimingsSerializer()
    verified = serializers.BooleanField()
    cutoff = CutoffSerializer()
    results = ResultSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ComparedPictureSerializer(serializers.Serializer[Any]):
    """A side of a comparison: `image_id` and `url` of a stored image, else `query`, `expires`."""

    width = serializers.IntegerField()
    height = serializers.IntegerField()
    format = serializers.CharField()
    sha256 = serializers.CharField()
    box = BoxAnswerField(allow_null=True)
    image_id = serializers.IntegerField(required=False)
    url = serializers.CharField(required=False)
    query = serializers.CharField(required=False)
    expires = serializers.DateTimeField(required=False)


class GeometrySerializer(serializers.Serializer[Any]):
    inliers = serializers.IntegerField(min_value=0)
    agreement = serializers.FloatField()
    mirrored = serializers.BooleanField()
    transform = serializers.ListField(child=RowField(), allow_null=True)
    outline = serializers.ListField(child=RowField(), allow_null=True)
    keypoints = serializers.ListField(child=serializers.ListField(child=RowField()))


class HeatmapAddressesSerializer(serializers.Serializer[Any]):
    first = serializers.CharField()
    second = serializers.CharField()


class CompareAnswerSerializer(serializers.Serializer[Any]):
    score = serializers.FloatField(min_value=-1, max_value=1)
    kind = serializers.ChoiceField(choices=KINDS)
    edits = serializers.ListField(child=serializers.ChoiceField(choices=EDITS))
    verdict = serializers.CharField()
    reason = serializers.CharField()
    geometry = GeometrySerializer()
    first = ComparedPictureSerializer()
    second = ComparedPictureSerializer()
    heatmaps = HeatmapAddressesSerializer()
    pipeline = PipelineNameSerializer()
    page_url = serializers.CharField()
    took_ms = serializers.FloatField()
