"""A dataset and people in every relation to it."""

from tests.permissions.conftest import house

__all__ = ["house"]
