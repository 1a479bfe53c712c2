"""Benchmarks of the speed of searches and pages."""
