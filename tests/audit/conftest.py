"""The dataset of real pictures and vectors that tests of indexes have."""

from tests.indexes.conftest import add, dataset, milvus_server, owner, store

__all__ = ["add", "dataset", "milvus_server", "owner", "store"]
