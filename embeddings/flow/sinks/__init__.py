"""Where rows go: an array, CSV, Parquet, Milvus.

A row that is a dictionary has its columns; any other value is a row with the one column
"value". Errors count rows from 1. Files are written whole or not at all.
"""

from embeddings.flow.sinks.array import as_array
from embeddings.flow.sinks.csv_file import write_csv
from embeddings.flow.sinks.milvus import insert_into_milvus
from embeddings.flow.sinks.parquet_file import write_parquet

__all__ = ["as_array", "insert_into_milvus", "write_csv", "write_parquet"]
