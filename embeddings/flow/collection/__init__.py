"""Collections of rows: where they come from, what is done with them, where they go."""

from embeddings.flow.collection.data_collection import DataCollection
from embeddings.flow.collection.empty import Empty

__all__ = ["DataCollection", "Empty"]
