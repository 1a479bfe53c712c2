"""Benchmark of the search latency over HTTP, beside the bare library call on the same image."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import sample_photos
from benchmarks.installation.processes import cpu_seconds, fill, place
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.report import Findings, Table, percentile
from benchmarks.search.http_client import SearchClient
from harness.installation import clean_environment

AIM_MS = 15.0
TOP_K = 20
_WARM_UP = 10
_STAGES = ("decode", "embed", "search")
# As in the workers: products with one vector gain nothing from more threads.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Sample = dict[str, float]


def run(options: Options) -> Findings:
    """Search over HTTP and bare, image by image; the order alternates."""
    with tempfile.TemporaryDirectory(prefix="lk-bench-") as folder, place() as installation:
        queries = sample_photos.make(Path(folder), _WARM_UP + options.searches, 500, seed=1)
        filled = fill(installation, options.images)
        bare_arguments = (filled.uri, filled.collection, str(options.images), str(TOP_K))
        client = SearchClient(
            installation.url, installation.key("read"), dataset=filled.slug, top_k=TOP_K
        )
        peer = Peer(
            "benchmarks.search.bare_search",
            *bare_arguments,
            environment=clean_environment(**ONE_THREAD),
        )
        over_http: list[Sample] = []
        barely: list[Sample] = []
        with client, peer:
            for place_in_row, query in enumerate(queries):
                if place_in_row == _WARM_UP:
                    over_http, barely = [], []
                    before = cpu_seconds(installation)
                if place_in_row % 2:
                    over_http.append(_over_http(client, query))
                    barely.append(_barely(peer, query))
                else:
                    barely.append(_barely(peer, query))
                    over_http.append(_over_http(client, query))
            # Bare calls use the same Milvus: its CPU time cannot be split between the two.
            used = cpu_seconds(installation) - before
    spent = ", ".join(
        f"{name} {1000 * seconds / options.searches:.1f}"
        for name, seconds in used.most_common()
        if name != "milvus" and seconds
    )
    return [
        *_findings(options, over_http, barely),
        f"Processor time in ms a search, by program: {spent}.",
    ]


def _over_http(client: SearchClient, query: Path) -> Sample:
    took, answer = client.search(query)
    if len(answer["results"]) != TOP_K:
        raise RuntimeError(f"{len(answer['results'])} results came, not {TOP_K}")
    sample: Sample = {f"server {name}": value for name, value in answer["took_ms"].items()}
    parts = sum(answer["took_ms"][stage] for stage in _STAGES)
    if not answer["took_ms"]["embed"]:
        raise RuntimeError("a vector was remembered: the model did not run")
    return sample | {"all": took, "around": took - parts}


def _barely(peer: Peer, query: Path) -> Sample:
    sample: Sample = peer.ask(str(query))
    model = sample["decode"] + sample["embed"]
    return sample | {"all": model + sample["search"], "with numpy": model + sample["numpy"]}


def _findings(options: Options, over_http: list[Sample], barely: list[Sample]) -> Findings:
    def row(label: str, samples: list[Sample], name: str) -> list[str]:
        values = [sample[name] for sample in samples]
        return [label, *(f"{percentile(values, percent):.1f}" for percent in (50, 95))]

    def median(samples: list[Sample], name: str) -> float:
        return percentile([sample[name] for sample in samples], 50)

    table = Table(
        ["milliseconds", "p50", "p95"],
        [
            row("HTTP, request to response", over_http, "all"),
            row("  took_ms.decode", over_http, "server decode"),
            row("  took_ms.embed", over_http, "server embed"),
            row("  took_ms.search", over_http, "server search"),
            row("  took_ms.total", over_http, "server total"),
            row("  request less decode, embed, search", over_http, "around"),
            row("bare call", barely, "all"),
            row("  decode", barely, "decode"),
            row("  embed", barely, "embed"),
            row("  search, same Milvus Lite server", barely, "search"),
            row("bare call with numpy in the process", barely, "with numpy"),
            row("  search, numpy", barely, "numpy"),
        ],
    )
    whole, bare = median(over_http, "all"), median(barely, "all")
    overhead = whole - bare
    met = "met" if overhead <= AIM_MS else "missed"
    return [
        f"{options.searches} searches with different JPEGs of 500 px (no vector is remembered) "
        f"among {options.images:,} images, top_k {TOP_K}, one client on one kept connection with "
        "a key. The images are rows with random unit vectors, written through the models and the "
        "vector store, because real pictures would take minutes; a search reads vectors and rows "
        "only. HTTP and bare calls take turns on the same pictures.",
        table,
        f"Around the bare call, p50 to p50: **{overhead:.1f} ms** (aim: {AIM_MS:.0f} ms at most, "
        f"{met}); HTTP takes {whole / bare:.2f} times the bare call, "
        f"{whole / median(barely, 'with numpy'):.2f} times the one with numpy.",
    ]
