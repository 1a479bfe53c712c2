"""Everything outside the process: Redis, files, buckets, the web and Milvus."""
