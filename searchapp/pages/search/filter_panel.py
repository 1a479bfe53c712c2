"""The filter panel of a search: form fields for facets, and chips for active filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlencode

from django.http import QueryDict

from searchapp.models import Dataset
from searchapp.pages.responses import number as thousands
from searchapp.pages.search.search_params import STEPS, SearchParams
from searchapp.services.errors import ServiceError
from searchapp.services.filters import query_string
from searchapp.services.filters.facets import Facet, schema_of
from searchapp.services.filters.fields import FIXED, METADATA, FieldKind, Op
from searchapp.services.search.types import Sort

SORTS = ((Sort.SIMILARITY, "Most alike"), (Sort.SIZE, "Largest"), (Sort.DATE, "Newest"))
# Fields that are shown at first; the others are under 'More fields'.
FIRST_FIELDS = 6
# With more filter values than this, there is one chip per field instead of one per value.
_MAX_CHIPS = 24
# Longer values are free text, not values that images share.
_MAX_VALUE_LENGTH = 60
_WORDS_OF_OPS = {
    "min": "from {}",
    "max": "to {}",
    Op.WORDS: "has ‘{}’",
    Op.BEGINS: "begins with ‘{}’",
    Op.ALL: "{}",
    Op.NONE: "not {}",
    Op.EXISTS: "is given: {}",
}


@dataclass(frozen=True)
class Choice:
    """A checkbox."""

    value: str
    text: str
    count: str
    is_chosen: bool


@dataclass(frozen=True)
class PanelField:
    """A field of the panel: checkboxes, a text input, or a range."""

    name: str  # of its URL parameters
    title: str
    choices: Sequence[Choice] = ()
    text: str | None = None  # the content of the text input; None where there is none
    kind: str = ""  # of the two inputs: number or date
    low: str = ""
    high: str = ""
    least: str = ""
    most: str = ""
    is_active: bool = False


@dataclass(frozen=True)
class Chip:
    """An active filter, and the URL without it."""

    text: str
    link: str


@dataclass(frozen=True)
class Panel:
    datasets: Sequence[Choice]
    fields: Sequence[PanelField]
    more: Sequence[PanelField]  # under 'More fields'
    chips: Sequence[Chip]
    clear: str  # the URL without any filters
    hidden: Sequence[tuple[str, str]]  # parameters to keep that have no field here
    sorts: Sequence[tuple[str, str, bool]]
    steps: Sequence[tuple[int, bool]]
    grid: str  # URLs of the two layouts
    list: str
    problem: str = ""  # why there are no fields

    @property
    def active(self) -> int:
        return sum(field.is_active for field in (*self.fields, *self.more))


def panel_of(
    params: SearchParams, choices: Sequence[Dataset], datasets: Sequence[Dataset]
) -> Panel:
    """Return the panel for a search in `datasets`; `choices` are the datasets to choose from."""
    query = QueryDict(urlencode(query_string.write(params.condition)), mutable=True)
    problem = ""
    facets: Sequence[Facet] = ()
    try:
        # The page does not wait for facets that are not cached: the next one shows them.
        facets = schema_of(datasets, patience=0).facets
    except ServiceError as error:
        problem = error.detail
    titles = {facet.name: facet.title for facet in facets}
    fields = [field for facet in facets if (field := _field(facet, query)) is not None]
    fields.sort(key=lambda field: not field.is_active)
    shown = {name for field in fields for name in _names(field)}
    hidden = [(name, value) for name, values in query.lists() for value in values
              if name not in shown]  # fmt: skip
    return Panel(
        datasets=_datasets(params, choices, datasets),
        fields=fields[:FIRST_FIELDS],
        more=fields[FIRST_FIELDS:],
        chips=_chips(params, query, titles, datasets),
        clear=params.but(datasets=(), condition=None, once=False).link,
        hidden=hidden,
        sorts=[(str(sort), text, sort == params.sort) for sort, text in SORTS],
        steps=[(step, step == params.number) for step in STEPS],
        grid=params.but(layout="grid", after=params.after).link,
        list=params.but(layout="list", after=params.after).link,
        problem=problem,
    )


def _datasets(
    params: SearchParams, choices: Sequence[Dataset], datasets: Sequence[Dataset]
) -> list[Choice]:
    shown = {dataset.slug: dataset for dataset in (*choices, *datasets)}
    return [
        Choice(slug, dataset.name, "", slug in params.datasets) for slug, dataset in shown.items()
    ]


def _names(field: PanelField) -> list[str]:
    if field.kind:
        return [f"{field.name}~min", f"{field.name}~max"]
    names = [field.name] if field.choices else []
    return names + ([f"{field.name}~{Op.WORDS}"] if field.text is not None else [])


def _field(facet: Facet, query: QueryDict) -> PanelField | None:
    name = query_string.name_of(facet.name)
    if facet.kind in (FieldKind.NUMBER, FieldKind.DATE):
        return _range(facet, name, query)
    chosen = query.getlist(name)
    typed = query.get(f"{name}~{Op.WORDS}", "")
    values = [value for value in facet.values if len(value.value) <= _MAX_VALUE_LENGTH]
    # Where nearly every value is unique, a text input replaces the checkboxes.
    is_shared = any(value.number > 1 for value in values) or facet.kind != FieldKind.TEXT
    if not is_shared:
        values = []
    listed = {value.value for value in values}
    choices = [
        Choice(value.value, _shown(value.value, facet.kind), thousands(value.number),
               value.value in chosen)
        for value in values
    ] + [Choice(value, value, "", True) for value in chosen if value not in listed]  # fmt: skip
    words = facet.kind == FieldKind.TEXT and (not values or facet.others > 0)
    fixed = FIXED.get(facet.name)
    if words and fixed is not None and Op.WORDS not in fixed.operators:
        words = False
    if not choices and not words:
        return None
    return PanelField(
        name,
        facet.title,
        choices,
        typed if words else None,
        is_active=bool(chosen or typed),
    )


def _range(facet: Facet, name: str, query: QueryDict) -> PanelField | None:
    low, high = query.get(f"{name}~min", ""), query.get(f"{name}~max", "")
    if facet.low is None or (facet.low == facet.high and not low and not high):
        return None
    return PanelField(
        name,
        facet.title,
        kind="date" if facet.kind == FieldKind.DATE else "number",
        low=low[:10] if facet.kind == FieldKind.DATE else low,
        high=high[:10] if facet.kind == FieldKind.DATE else high,
        least=_end(facet.low),
        most=_end(facet.high),
        is_active=bool(low or high),
    )


def _end(value: float | str | None) -> str:
    if isinstance(value, str):
        return value[:10]
    return "" if value is None else f"{value:.10g}"


def _shown(value: str, kind: FieldKind) -> str:
    return {"true": "yes", "false": "no"}.get(value, value) if kind == FieldKind.YES_NO else value


def _chips(
    params: SearchParams, query: QueryDict, titles: dict[str, str], datasets: Sequence[Dataset]
) -> list[Chip]:
    names = {dataset.slug: dataset.name for dataset in datasets}
    chips = [
        Chip(
            f"in {names.get(slug, slug)}",
            params.but(datasets=tuple(other for other in params.datasets if other != slug)).link,
        )
        for slug in params.datasets
    ]
    pairs = [(name, value) for name, values in query.lists() for value in values]
    parts = [pairs[place : place + 1] for place in range(len(pairs))]
    if len(pairs) > _MAX_CHIPS:  # each chip contains the whole URL
        parts = [[(name, value) for value in values] for name, values in query.lists()]
    for part in parts:
        rest = QueryDict(urlencode([pair for pair in pairs if pair not in part]))
        link = params.but(condition=query_string.read(rest)).link
        more = f" and {thousands(len(part) - 1)} more" if len(part) > 1 else ""
        chips.append(Chip(_said(*part[0], titles) + more, link))
    if params.once:
        chips.append(Chip("each picture once", params.but(once=False).link))
    return chips


def _said(name: str, value: str, titles: dict[str, str]) -> str:
    """Return a URL parameter in words: 'Width from 800'."""
    if name == query_string.WHOLE:
        return "a filter of its own"
    quoted, mark, op = name.removeprefix(query_string.PREFIX).rpartition("~")
    field = unquote(quoted if mark else op)
    fixed = FIXED.get(field)
    title = titles.get(field) or (fixed.title if fixed else field.removeprefix(METADATA))
    if not mark:
        return f"{title}: {value}"
    return f"{title} {_WORDS_OF_OPS.get(op, '{}').format(value)}"
