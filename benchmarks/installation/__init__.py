"""Installations to measure: start, processes, memory, and datasets filled for benchmarks."""
