"""Measure in a process of its own: `python -m embeddings.runtimes.measurement_job SPEC THREADS`.

Measuring and converting need torch, which a process never gives back. One that has not loaded it
has another process do so, once per machine, and then loads only what is the fastest.
"""

import functools
import json
import sys
from dataclasses import asdict

from embeddings import thread_count
from embeddings.runtimes import selection
from embeddings.runtimes.networks import make_network
from embeddings.runtimes.spec import FeatureSpec, Network
from embeddings.runtimes.subprocess_job import run_module


def measure_elsewhere(spec: FeatureSpec) -> None:
    """Have another process measure `spec` and keep what it finds, if it can."""
    run_module(__name__, json.dumps(asdict(spec)), str(thread_count.threads()))


def main(text: str, threads: str) -> None:
    import torch  # noqa: F401 (so that this process does not ask another one in turn)

    fields = json.loads(text)
    fields |= {"mean": tuple(fields["mean"]), "std": tuple(fields["std"])}
    thread_count.set_threads(int(threads))
    spec = FeatureSpec(**fields)

    @functools.cache
    def load(runtime_name: str, precision: str) -> Network:
        return make_network(spec, runtime_name, precision)

    # What was measured before may not be converted any more: the fastest is made in any case.
    load(*selection.choose(spec, load))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
