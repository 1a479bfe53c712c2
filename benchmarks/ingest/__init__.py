"""Benchmarks of ingestion: throughput of uploads and imports, and kills of processes."""
