"""`docs/configuration.md` says what the program reads, all of it, with the right defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from harness.installation import ROOT
from searchapp.api.serializers import MAX_METADATA_BYTES
from searchapp.services.search import MAX_DATASETS, MAX_RESULTS
from searchapp.settings.env import KNOWN, Environment
from tests.docs.markdown import PAGES, code, prose, tables

PAGE = ROOT / "docs" / "configuration.md"
# Read by make, pip and the tests' search for a browser; not by the program.
TOOLS = {"PYTHON", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "CHROMIUM"}

_tables = list(tables(PAGE))
documented = {code(row["variable"]): row for _, rows in _tables for row in rows if "default" in row}
others = {
    heading: {code(row["variable"]) for row in rows}
    for heading, rows in _tables
    if rows and "default" not in rows[0]
}


def _used_by_compose() -> set[str]:
    text = (ROOT / "docker-compose.yml").read_text()
    return set(re.findall(r"(?<!\$)\$\{(\w+)", text))


def test_every_variable_is_documented_and_no_other() -> None:
    assert set(documented) == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_the_default_is_the_right_one(name: str) -> None:
    default, cell = KNOWN[name].default, documented[name]["default"]
    if default is None:
        assert cell.startswith("unset: ")
    elif default == "":
        assert cell == "empty"
    else:
        assert code(cell) == default


@pytest.mark.parametrize("name", KNOWN)
def test_the_values_are_those_that_are_accepted(name: str) -> None:
    cell = documented[name]["values"]

    def refuses(value: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=f"^{name} "):
            Environment({name: value})[name]

    if match := re.fullmatch(r"([\d.]+) to ([\d.]+)", cell):
        for bound, step in ((match[1], -1), (match[2], 1)):
            number = Environment({name: bound})[name]
            assert number == float(bound)
            refuses(str(number + step))
    elif cell == "yes or no":
        assert Environment({name: "1"})[name] is True
        assert Environment({name: "0"})[name] is False
        refuses("perhaps")
    elif choices := re.findall(r"`(\w+)`(?:, |$)", cell):
        for choice in choices:
            assert Environment({name: choice})[name] == choice
        refuses("another")
    elif "://" in cell or "` address" in cell:
        for scheme in re.findall(r"`(\w+):", cell):
            assert Environment({name: f"{scheme}://place/thing"})[name]
        refuses("ftp://place/thing")
    else:
        # Free text, lists and folders: a word that is long enough is taken.
        assert Environment({name: "80" if "ports" in cell else "something"})[name]


def test_what_is_fixed_is_as_the_page_says() -> None:
    text = " ".join(prose(PAGE).split())
    assert f"a search waits {settings.QUERY_TIMEOUT:g} seconds" in text
    assert settings.FETCH_MAX_REDIRECTS == 5
    assert "follows five redirects" in text
    assert f"at most {MAX_RESULTS} results from at most {MAX_DATASETS} datasets" in text
    assert f"at most {MAX_METADATA_BYTES:,} bytes" in text


def test_what_belongs_to_compose_is_documented_and_no_other() -> None:
    assert others["Compose"] == _used_by_compose() - set(KNOWN) - TOOLS


def test_the_tools_variables_are_documented() -> None:
    assert others["When setting up"] == TOOLS


def test_what_the_file_beside_compose_may_set_is_named() -> None:
    """The page names groups; these are the variables that the groups leave out."""
    fixed = {name for heading, rows in _tables[:2] for name in (code(r["variable"]) for r in rows)}
    fixed |= {"DATABASE_URL", "REDIS_URL", "MILVUS_URI", "MILVUS_TOKEN", "EMBEDDINGS_CACHE"}
    free = (set(KNOWN) - fixed) | {"SECRET_KEY", "LOOKALIKE_LOG_LEVEL"}
    assert _used_by_compose() & set(KNOWN) == free


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_variable_that_does_not_exist(page: Path) -> None:
    named = {
        name
        for name in re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", page.read_text())
        # Constants of the code have other beginnings and ends.
        if name.startswith(("LOOKALIKE_", "PIP_", "AWS_")) or name.endswith(("_URL", "_PASSWORD"))
    }
    assert named <= set(KNOWN) | TOOLS | others["Compose"]
