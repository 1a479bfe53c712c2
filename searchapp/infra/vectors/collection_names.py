"""Names of Milvus collections, from index id and fingerprint."""


def collection_name(index_id: int, fingerprint: str) -> str:
    """Return the name of the collection of index `index_id` under `fingerprint`."""
    return f"lookalike_{index_id}_{fingerprint[:12]}"


# The form of the scalars beside the vectors; raise it when `services.filters.scalars` makes others:
# collections of before are then filled anew by `services.scalars`.
SCALARS_VERSION = 1
