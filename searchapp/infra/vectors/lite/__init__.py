"""A server that makes Milvus Lite available to several processes."""
