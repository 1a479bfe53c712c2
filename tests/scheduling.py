"""Tiers, and how a run of several processes shares the tests out.

Tests that need a running application or a browser are marked `application` by the fixtures that
they use. All tests that share one running application run in one process, so that it is started
once; other tests stay together by file. Loaded by `-p tests.scheduling` (see pyproject.toml).
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Fixtures that are one running application for many files; the one with most tests comes first.
SHARED = ("installation", "_survivor", "production")
# The processes that collect the tests tell the one that shares them out.
_SCOPES = Path(os.environ["TESTS_FOLDER"]) / "scopes.json"


def scope_of(item: pytest.Item) -> str:
    """Return the name of the group of tests that must run in one process with `item`."""
    fixtures = getattr(item, "fixturenames", ())
    shared = next((name for name in SHARED if name in fixtures), None)
    return shared or item.nodeid.partition("::")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a running application, before tests are chosen by markers; put it first."""
    scopes = {item.nodeid: scope_of(item) for item in items}
    for item in items:
        if scopes[item.nodeid] in SHARED:
            item.add_marker("application")
    ranks = {name: rank for rank, name in enumerate(SHARED)}
    items.sort(key=lambda item: ranks.get(scopes[item.nodeid], len(SHARED)))
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        written = _SCOPES.with_suffix(f".{worker}")
        written.write_text(json.dumps(scopes))
        written.replace(_SCOPES)


class ByScope(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out whole groups of tests in their order: what takes longest must not begin last."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def schedule(self) -> None:
        if self.collection is None:
            self.scopes: dict[str, str] = json.loads(_SCOPES.read_text())
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self.scopes[nodeid]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByScope:
    """How runs of several processes share the tests out."""
    return ByScope(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test is a failure: whatever a machine lacks has to be said, and put right."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report
