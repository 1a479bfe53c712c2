"""Access to Milvus: a server, a cluster or Milvus Lite.

Kept empty on purpose: the Milvus Lite launcher in this package must set the thread limits of
BLAS and OpenMP before anything imports numpy.
"""
