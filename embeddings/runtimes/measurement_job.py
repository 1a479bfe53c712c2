"""Measurement of runtimes in a subprocess: `python -m embeddings.runtimes.measurement_job SPEC
THREADS`.

Measuring and converting need torch, whose memory a process never releases. A process without torch
therefore measures in a subprocess, once per machine, and then loads only the fastest runtime.
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
    """Measure `spec` in a subprocess and cache the result. Failures are ignored."""
    run_module(__name__, json.dumps(asdict(spec)), str(thread_count.threads()))


def main(text: str, threads: str) -> None:
    import torch  # noqa: F401 (so that this process starts no subprocess itself)

    fields = json.loads(text)
    fields |= {"mean": tuple(fields["mean"]), "std": tuple(fields["std"])}
    thread_count.set_threads(int(threads))
    spec = FeatureSpec(**fields)

    @functools.cache
    def load(runtime_name: str, precision: str) -> Network:
        return make_network(spec, runtime_name, precision)

    # A cached measurement may outlive its converted model: convert the fastest in any case.
    load(*selection.choose(spec, load))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
