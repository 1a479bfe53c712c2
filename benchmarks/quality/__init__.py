"""Benchmarks of search quality: recall, precision, match kinds, edits."""
