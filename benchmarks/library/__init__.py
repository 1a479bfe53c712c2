"""Benchmarks of the library's speed, beside timm and Towhee."""
