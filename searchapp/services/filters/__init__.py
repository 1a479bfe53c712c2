"""Filters: what a search is limited to, checked, worded for Milvus, and told in facets."""

from searchapp.services.filters.tree import All, Any_, Condition, Not, Test, all_of, parse

__all__ = ["All", "Any_", "Condition", "Not", "Test", "all_of", "parse"]
