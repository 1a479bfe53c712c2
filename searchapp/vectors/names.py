"""How collections are named: by index and fingerprint, so that no two indexes ever share one."""


def collection_name(index_id: int, fingerprint: str) -> str:
    """Return the name of the collection of index `index_id` under `fingerprint`."""
    return f"lookalike_{index_id}_{fingerprint[:12]}"
