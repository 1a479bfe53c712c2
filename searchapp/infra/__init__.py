"""Clients of external systems: Redis, file storage, buckets, the web and Milvus."""
