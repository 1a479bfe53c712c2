"""Collections of rows: where they come from, what is done with them, where they go."""

from embeddings.collection.data import DataCollection
from embeddings.collection.empty import Empty

__all__ = ["DataCollection", "Empty"]
