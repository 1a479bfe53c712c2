"""How well pictures are found: by the whole application, and by vectors alone."""

from __future__ import annotations

from benchmarks import quality_application, quality_vectors
from benchmarks.options import Options
from benchmarks.report import Findings


def run(options: Options) -> Findings:
    """The application through HTTP first, then every variant of vectors."""
    return [*quality_application.run(options), *quality_vectors.run(options)]
