"""Deprecated: `embeddings.geometry` and `embeddings.heatmaps` have what was here."""

from embeddings.deprecation import moved_module

__getattr__ = moved_module(__name__, "embeddings.geometry")
