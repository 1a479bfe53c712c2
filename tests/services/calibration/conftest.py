"""The dataset with a vector store that tests of indexes have."""

from tests.services.indexes.conftest import add, dataset

__all__ = ["add", "dataset"]
