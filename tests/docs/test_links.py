"""What a page points to is there: files, headings, modules, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.installation import ROOT
from tests.docs.markdown import PAGES, blocks, prose

OURS = ("embeddings", "searchapp", "worker")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _anchors(page: Path) -> set[str]:
    """The headings of a page as its host turns them into anchors."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        to = (page.parent / file).resolve() if file else page
        assert to.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in _anchors(to), f"{page.name} links to {target}"


@pages
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`([\w.]+/[\w./-]*\w\.(?:py|md|csv|yml|example|txt))`", prose(page)):
        places = (ROOT / name, page.parent / name, *(ROOT / room / name for room in OURS))
        assert any(place.exists() for place in places), f"{page.name} names {name}"


def test_the_rooms_of_the_architecture_are_there() -> None:
    """Each line of the first block is a folder, or what lies in the folder above it."""
    rooms = next(blocks(ROOT / "docs" / "architecture.md")).text
    above = ROOT
    for line in rooms.splitlines():
        inside = line.startswith("  ")
        names = re.match(r"((?:[\w.]+/? ?)+?)(?:  |$)", line.strip())
        assert names, line
        for name in names[1].split():
            path = (above if inside else ROOT) / name
            assert path.exists(), line
            above = above if inside else path


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    for page in PAGES:
        named = set(re.findall(r"(?m)(?:`|^)make ([a-z-]+)", page.read_text()))
        assert named <= targets, page.name


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_the_changelog_knows_this_version() -> None:
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())
    assert version
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text()
