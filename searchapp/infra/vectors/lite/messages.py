"""Requests and responses of the Milvus protocol that views can answer."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from milvus_lite.adapter.grpc.errors import success_status_kwargs
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from searchapp.infra.vectors.lite.answer_cache import Hits


def is_plain_search(params: dict[str, Any], collection: Any) -> bool:
    unusual = (
        "partition_names", "group_by_field", "radius", "range_filter", "ranker", "rerank",
        "function_chains", "has_function_score", "order_by_fields", "offset", "timezone",
    )  # fmt: skip
    return (
        not any(params[name] for name in unusual)
        and params["radius"] is None
        and params["range_filter"] is None
        and params["round_decimal"] < 0
        and set(params["output_fields"] or ()) <= {collection._pk_name}
        and collection._resolve_anns_field(params["anns_field"]) == collection._vector_name
        and collection.resolve_search_metric(params["anns_field"], params["metric_type"])
        == "COSINE"
        and collection.load_state == "loaded"
        and params["top_k"] > 0
        and isinstance(params["query_vectors"][0], list)
        and len(params["query_vectors"][0]) == _dimension(collection)
    )


def _dimension(collection: Any) -> int:
    return next(
        int(field.dim)
        for field in collection.schema.fields
        if field.name == collection._vector_name
    )


def hits_answer(collection: Any, results: list[Hits], top_k: int) -> Any:
    data = schema_pb2.SearchResultData(
        num_queries=len(results),
        top_k=top_k,
        topks=[len(hits) for hits in results],
        scores=[score for hits in results for _, score in hits],
        primary_field_name=collection._pk_name,
    )
    data.ids.int_id.data.extend(key for hits in results for key, _ in hits)
    return milvus_pb2.SearchResults(
        status=common_pb2.Status(**success_status_kwargs()),
        results=data,
        collection_name=collection.name,
    )


def rows_answer(collection: Any, columns: list[Any], fields: list[str]) -> Any:
    return milvus_pb2.QueryResults(
        status=common_pb2.Status(**success_status_kwargs()),
        fields_data=columns,
        collection_name=collection.name,
        output_fields=fields,
        primary_field_name=collection._pk_name,
    )


def page_start(expression: str, key: str) -> int | None:
    """Return N if the expression matches all ids above N, as written by pymilvus' iterators.

    Returns None for other expressions.
    """
    everything = f"{key} < {np.iinfo(np.int64).max}"
    if expression in ("", everything):
        return int(np.iinfo(np.int64).min)
    match = re.fullmatch(rf"{re.escape(key)} > (-?\d+) and \({re.escape(everything)}\)", expression)
    return int(match[1]) if match else None
