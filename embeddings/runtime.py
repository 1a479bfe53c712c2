"""Deprecated: import from `embeddings.thread_count`."""

from embeddings.deprecation import moved_module

__getattr__ = moved_module(__name__, "embeddings.thread_count")
