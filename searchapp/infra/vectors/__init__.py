"""Access to Milvus: a server, a cluster or Milvus Lite.

This module imports nothing: the Milvus Lite launcher in this package must set the thread limits of
BLAS and OpenMP before numpy is imported.
"""
