"""Where rows go: an array, CSV, Parquet, Milvus.

A row that is a dictionary has its columns; any other value is a row with the one column
"value". Errors count rows from 1. Files are written whole or not at all.
"""
