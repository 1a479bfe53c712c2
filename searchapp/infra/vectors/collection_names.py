"""Names of Milvus collections, from index id and fingerprint."""


def collection_name(index_id: int, fingerprint: str) -> str:
    """Return the name of the collection of index `index_id` under `fingerprint`."""
    return f"lookalike_{index_id}_{fingerprint[:12]}"


# The version of the scalars stored with the vectors. Increment it when
# `services.filters.scalar_tokens` creates others: `services.filters.scalar_sync` then fills
# collections of an older version again.
SCALARS_VERSION = 1
