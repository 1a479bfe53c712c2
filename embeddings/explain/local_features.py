"""Deprecated: import from `embeddings.geometry.local_features`."""

from embeddings.deprecation import moved_module

__getattr__ = moved_module(__name__, "embeddings.geometry.local_features")
