"""The measurements of the benchmark `search`; `benchmarks.search.findings` reports them."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.search.browser import Painted, Vitals
from benchmarks.search.load import Boxes, Load


@dataclass
class Measurements:
    """All measurements; in milliseconds unless noted."""

    clicks: list[Painted] = field(default_factory=list)
    bare_of_clicks: list[float] = field(default_factory=list)
    uploads: list[Painted] = field(default_factory=list)
    bare_of_uploads: list[float] = field(default_factory=list)
    again: list[Painted] = field(default_factory=list)
    repeated: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    loads: dict[str, Load] = field(default_factory=dict)
    batches: list[float] = field(default_factory=list)  # searches a second
    boxes: list[Boxes] = field(default_factory=list)
    vitals: dict[tuple[str, str], list[Vitals]] = field(default_factory=dict)
