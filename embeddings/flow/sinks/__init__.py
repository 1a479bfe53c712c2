"""Sinks: rows to an array, CSV, Parquet or Milvus.

A dictionary is a row with columns; any other value is a row with the one column "value". Errors
count rows from 1. Files are written atomically.
"""
