"""Every threat in SECURITY.md names tests that exist."""

from __future__ import annotations

import re

from harness.installation import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()


def test_the_tests_that_hold_threats_off_exist() -> None:
    _, _, section = PAGE.partition("### Threats")
    table, _, _ = section.partition("\n### ")
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert named, row
        for path in named:
            assert "def test_" in (ROOT / path).read_text(), path
