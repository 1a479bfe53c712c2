"""Benchmark of search quality: of the whole application, and of vectors alone."""

from __future__ import annotations

from benchmarks.options import Options
from benchmarks.quality import application_quality, vector_quality
from benchmarks.report import Findings


def run(options: Options) -> Findings:
    """Measure the application over HTTP first, then every variant of vectors."""
    return [*application_quality.run(options), *vector_quality.run(options)]
