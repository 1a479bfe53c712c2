"""Search filters: parsing, Milvus expressions, stored scalars and facets."""

from searchapp.services.filters.tree import All, Any_, Condition, Not, Test, all_of, parse

__all__ = ["All", "Any_", "Condition", "Not", "Test", "all_of", "parse"]
