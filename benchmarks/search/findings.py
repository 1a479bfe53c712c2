"""The report of the benchmark `search`: tables and sentences from its measurements."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.options import Options
from benchmarks.report import Findings, Table, aim, percentile
from benchmarks.search.browser import Painted
from benchmarks.search.load import AT_ONCE, TOP_K
from benchmarks.search.measurements import Measurements

AIM_TIMES, AIM_MORE_MS = 1.5, 60.0
AIM_REPEATED_MS, AIM_THROUGHPUT, AIM_BESIDE = 40.0, 0.8, 1.5
# The thresholds for 'good': https://web.dev/articles/vitals
AIM_LCP_MS, AIM_SHIFT = 2500.0, 0.1


def findings(options: Options, measured: Measurements) -> Findings:
    return [
        f"{options.gallery:,} images, each with an original, thumbnails, local features and a "
        "vector of its own name; the files are hard links to those of 400 different JPEGs of 640 "
        "px, and the vectors lie about those of these pictures. Chromium without a graphics card, "
        "1,440 by 900, signed in, the default settings: matches are verified by geometry. From "
        "the click (or the choice of a file) to the second frame after all thumbnails in view are "
        "decoded. The bare call decodes, embeds and asks the same Milvus Lite for the same "
        "picture, in one process, in turns.",
        *_clicked(measured),
        *_repeated(measured),
        *_many(measured),
        *_boxed(measured),
        *_seen(measured),
    ]


def _half(values: Sequence[float]) -> float:
    return percentile(values, 50)


def _row(label: str, values: Sequence[float]) -> list[str]:
    return [label, *(f"{percentile(values, percent):.1f}" for percent in (50, 95))]


def _rows(label: str, painted: Sequence[Painted]) -> list[list[str]]:
    return [
        _row(f"{label}, to painted thumbnails", [one.all for one in painted]),
        _row("  to the first byte", [one.first_byte for one in painted]),
        _row("  to the whole page", [one.page for one in painted]),
    ]


def _clicked(measured: Measurements) -> Findings:
    table = Table(
        ["milliseconds", "p50", "p95"],
        [
            *_rows("click on a match", measured.clicks),
            _row("  bare call", measured.bare_of_clicks),
            *_rows("another picture", measured.uploads),
            _row("  bare call", measured.bare_of_uploads),
        ],
    )
    sentences = []
    for name, painted, bare in (
        ("A click on a match", measured.clicks, measured.bare_of_clicks),
        ("Another picture", measured.uploads, measured.bare_of_uploads),
    ):
        took, limit = _half([one.all for one in painted]), AIM_TIMES * _half(bare) + AIM_MORE_MS
        sentences.append(
            f"{name}: **{took:.0f} ms** at p50, {took / _half(bare):.2f} times the bare call "
            + aim(took <= limit, f"{AIM_TIMES} times and {AIM_MORE_MS:.0f} ms, {limit:.0f} ms here")
            + f"; {_half([one.pictures for one in painted]):.0f} thumbnails in view."
        )
    return [table, " ".join(sentences)]


def _repeated(measured: Measurements) -> Findings:
    took = _half(measured.repeated)
    again = [one.first_byte for one in measured.again]
    return [
        f"The same picture once more, over HTTP: **{took:.1f} ms** at p50, "
        f"{percentile(measured.repeated, 95):.1f} at p95 "
        f"{aim(took <= AIM_REPEATED_MS, f'at most {AIM_REPEATED_MS:.0f} ms')}. The same page of "
        f"results loaded again in the browser: {_half(again):.1f} ms to the first byte, "
        f"{_half([one.all for one in measured.again]):.0f} ms to painted thumbnails."
    ]


def _many(measured: Measurements) -> Findings:
    batch = sum(measured.batches) / len(measured.batches)
    rows = [["the library in batches of 20, one process", f"{batch:.1f}", "1.00", "", ""]]
    for name, load in measured.loads.items():
        rows.append(
            [
                f"{AT_ONCE} at once, {name}",
                f"{load.rate:.1f}",
                f"{load.rate / batch:.2f}",
                *(f"{percentile(load.each, percent):.0f}" for percent in (50, 95)),
            ]
        )
    plain = measured.loads["not verified"].rate / batch
    verified = measured.loads["verified"].rate / batch
    alone, beside = percentile(measured.alone, 95), percentile(measured.beside, 95)
    return [
        f"{AT_ONCE} clients over HTTP at once, top_k {TOP_K}, different pictures of 500 px; the "
        "library decodes, embeds each batch as one tensor and asks Milvus Lite for all of it at "
        "once, and verifies nothing.",
        Table(["", "searches/s", ": library", "p50 ms", "p95 ms"], rows),
        f"Throughput as the library's, without verification **{100 * plain:.0f} %** "
        f"{aim(plain >= AIM_THROUGHPUT, f'at least {100 * AIM_THROUGHPUT:.0f} %')}, with it "
        f"**{100 * verified:.0f} %**. One search at a time: p95 {alone:.1f} ms alone and "
        f"{beside:.1f} ms beside an import, **{beside / alone:.2f} times** "
        f"{aim(beside <= AIM_BESIDE * alone, f'at most {AIM_BESIDE} times')}.",
    ]


def _boxed(measured: Measurements) -> Findings:
    others = [one for boxes in measured.boxes for one in boxes.others]

    def row(label: str, samples: Sequence[dict[str, float]]) -> list[str]:
        parts = ("all", "decode", "embed", "search", "verify")
        return [label, *(f"{_half([one[part] for one in samples]):.1f}" for part in parts)]

    return [
        "Parts of one photograph of 4,000 px, over HTTP; all of it is decoded with the first box:",
        Table(
            ["milliseconds, p50", "all", "decode", "embed", "search", "verify"],
            [
                row("the whole picture", [boxes.whole for boxes in measured.boxes]),
                row("the first box", [boxes.first for boxes in measured.boxes]),
                row("another box", others),
            ],
        ),
    ]


def _seen(measured: Measurements) -> Findings:
    rows, largest, shifted = [], 0.0, 0.0
    for (name, width), loads in measured.vitals.items():
        paint, shift = _half([one.largest for one in loads]), max(one.shifted for one in loads)
        largest, shifted = max(largest, paint), max(shifted, shift)
        rows.append([f"{name}, {width}", f"{paint:.0f}", f"{shift:.4f}"])
    good = largest <= AIM_LCP_MS and shifted <= AIM_SHIFT
    target = f"what is called good: {AIM_LCP_MS:.0f} ms, {AIM_SHIFT}"
    return [
        "As the browser itself counts (PerformanceObserver), with nothing in its cache; median of "
        "the paints and the worst of the shifts of five loads:",
        Table(["", "Largest Contentful Paint, ms", "Cumulative Layout Shift"], rows),
        f"The worst: {largest:.0f} ms and {shifted:.4f} {aim(good, target)}.",
    ]
