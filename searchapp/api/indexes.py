"""The REST API of indexes: made, watched, compared, activated, rolled back, retired."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from searchapp.api.core.permissions import require_editor, require_owner, visible_dataset
from searchapp.api.core.strict import StrictSerializer, StrictView
from searchapp.models import Calibration, Dataset, Index
from searchapp.services import calibration
from searchapp.services.indexes import build, comparison, lifecycle, pipelines
from searchapp.services.indexes.comparison import IndexComparison, IndexSide


class PipelineSerializer(serializers.Serializer[pipelines.PipelineChoice]):
    name = serializers.CharField()
    sentence = serializers.CharField()
    dimension = serializers.IntegerField()
    fingerprint = serializers.CharField()
    input_size = serializers.IntegerField()
    passes = serializers.IntegerField()
    licence = serializers.CharField()


class PipelineListSerializer(serializers.Serializer[Any]):
    results = PipelineSerializer(many=True)


class ProgressSerializer(serializers.Serializer[build.BuildProgress]):
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    checking = serializers.BooleanField()
    workers = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True)
    gaps = serializers.IntegerField()


class CalibrationSerializer(serializers.ModelSerializer[Calibration]):
    class Meta:
        model = Calibration
        fields = [
            "images", "sampled", "pairs", "lower", "usual", "upper", "quantiles", "made",
        ]  # fmt: skip


class IndexSerializer(serializers.ModelSerializer[Index]):
    dataset = serializers.SlugRelatedField[Dataset](slug_field="slug", read_only=True)
    state = serializers.CharField(read_only=True)
    error = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()
    calibration = serializers.SerializerMethodField()

    class Meta:
        model = Index
        fields = [
            "id", "dataset", "state", "pipeline", "fingerprint", "dimension", "runtime",
            "precision", "error", "progress", "calibration", "created", "built", "activated",
            "retired",
        ]  # fmt: skip

    def get_error(self, index: Index) -> dict[str, str] | None:
        if not index.error_code:
            return None
        return {"code": index.error_code, "detail": index.error_detail}

    @extend_schema(responses=ProgressSerializer)
    def get_progress(self, index: Index) -> dict[str, Any]:
        return dict(ProgressSerializer(self.context["progress"][index.pk]).data)

    @extend_schema(responses=CalibrationSerializer(allow_null=True))
    def get_calibration(self, index: Index) -> dict[str, Any] | None:
        record = self.context["calibrations"].get(index.pk)
        return None if record is None else dict(CalibrationSerializer(record).data)


class IndexListSerializer(serializers.Serializer[Any]):
    results = IndexSerializer(many=True)


class NewIndexSerializer(StrictSerializer):
    pipeline = serializers.CharField(max_length=120)


class ComparisonRequestSerializer(StrictSerializer):
    seed = serializers.IntegerField(default=1, min_value=0, max_value=comparison.MAX_SEED)
    with_ = serializers.IntegerField(min_value=1, max_value=2**63 - 1)

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["with"] = fields.pop("with_")
        return fields


class SideSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    pipeline = serializers.CharField()
    found_itself = serializers.IntegerField()
    search_ms = serializers.FloatField(allow_null=True)
    built_per_second = serializers.FloatField(allow_null=True)


class ComparisonSerializer(serializers.Serializer[Any]):
    sampled = serializers.IntegerField()
    overlap = serializers.FloatField(allow_null=True)
    seed = serializers.IntegerField()
    a = SideSerializer()
    b = SideSerializer()


def _body(*indexes: Index) -> list[dict[str, Any]]:
    context = {
        "progress": build.progress_of(indexes),
        "calibrations": calibration.calibrations_of(indexes),
    }
    return list(IndexSerializer(indexes, many=True, context=context).data)


def comparison_body(result: IndexComparison) -> dict[str, Any]:
    return {
        "sampled": result.sampled,
        "overlap": result.overlap,
        "seed": result.seed,
        "a": _side_body(result.a),
        "b": _side_body(result.b),
    }


def _side_body(side: IndexSide) -> dict[str, Any]:
    return {
        "index": side.index.pk,
        "pipeline": side.index.pipeline,
        "found_itself": side.found_itself,
        "search_ms": side.search_ms,
        "built_per_second": side.built_per_second,
    }


def _index(request: Request, pk: int) -> Index:
    """An index of a dataset whose pictures the user may change; others are not there, or 403."""
    visible = Dataset.objects.visible_to(request.user)
    index = Index.objects.select_related("dataset").filter(pk=pk, dataset__in=visible).first()
    if index is None:
        raise Http404
    require_editor(request, index.dataset)
    return index


class PipelineList(StrictView):
    """The pipelines that an index can be made with here."""

    @extend_schema(operation_id="v1_pipelines_list", responses=PipelineListSerializer)
    def get(self, request: Request) -> Response:
        return Response({"results": [_pipeline_body(one) for one in pipelines.available()]})


def _pipeline_body(pipeline: pipelines.PipelineChoice) -> dict[str, Any]:
    return dict(PipelineSerializer(pipeline).data)


class IndexList(StrictView):
    """The indexes of one dataset, newest first, and new ones."""

    problems = {"POST": (409,)}

    @extend_schema(operation_id="v1_datasets_indexes_list", responses=IndexListSerializer)
    def get(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        require_editor(request, dataset)
        indexes = dataset.indexes.select_related("dataset").order_by("-pk")
        return Response({"results": _body(*indexes[:200])})

    @extend_schema(request=NewIndexSerializer, responses={202: IndexSerializer})
    def post(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        require_owner(request, dataset)
        serializer = NewIndexSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        index = lifecycle.create_index(dataset, serializer.validated_data["pipeline"])
        return Response(_body(index)[0], status=202)


class Rollback(StrictView):
    """Back to the index that was active before."""

    without_body = ("POST",)
    problems = {"POST": (409,)}

    @extend_schema(request=None, responses=IndexSerializer)
    def post(self, request: Request, slug: str) -> Response:
        dataset = visible_dataset(request, slug)
        require_owner(request, dataset)
        return Response(_body(lifecycle.rollback(dataset))[0])


class IndexDetail(StrictView):
    """One index."""

    @extend_schema(responses=IndexSerializer)
    def get(self, request: Request, pk: int) -> Response:
        return Response(_body(_index(request, pk))[0])


class _Act(StrictView):
    """Something that an owner does with an index."""

    without_body = ("POST",)
    problems = {"POST": (409,)}

    def _owned(self, request: Request, pk: int) -> Index:
        index = _index(request, pk)
        require_owner(request, index.dataset)
        return index


class Activate(_Act):
    """Searches use this index from now on."""

    @extend_schema(request=None, responses=IndexSerializer)
    def post(self, request: Request, pk: int) -> Response:
        index = self._owned(request, pk)
        lifecycle.activate(index)
        return Response(_body(index)[0])


class Retire(_Act):
    """Give up an index that no search uses, and free its space."""

    @extend_schema(request=None, responses=IndexSerializer)
    def post(self, request: Request, pk: int) -> Response:
        index = self._owned(request, pk)
        lifecycle.retire(index)
        return Response(_body(index)[0])


class Retry(_Act):
    """Go on with an index that failed; of one that is whole, try its gaps again."""

    @extend_schema(request=None, responses={202: IndexSerializer})
    def post(self, request: Request, pk: int) -> Response:
        index = self._owned(request, pk)
        lifecycle.try_again(index)
        return Response(_body(index)[0], status=202)


class Compare(StrictView):
    """Two indexes of one dataset by a sample of its pictures."""

    parameters = {"GET": ("with", "seed")}
    problems = {"GET": (409,)}

    @extend_schema(
        parameters=[
            OpenApiParameter("with", int, required=True, description="the other index"),
            OpenApiParameter("seed", int, description="another one, another sample"),
        ],
        responses=ComparisonSerializer,
    )
    def get(self, request: Request, pk: int) -> Response:
        a = _index(request, pk)
        serializer = ComparisonRequestSerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        b = _index(request, serializer.validated_data["with"])
        result = comparison.compare(a, b, seed=serializer.validated_data["seed"], rows=0)
        return Response(comparison_body(result))
