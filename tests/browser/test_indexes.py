"""Another pipeline for a dataset: built, compared, activated and rolled back in the browser."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import DEMO, drop
from tests.browser.test_quality import faults

PATIENCE = 120_000  # milliseconds: the machine may be busy


def test_an_owner_tries_another_pipeline_and_goes_back(
    new_dataset: Callable[[str], Page],
) -> None:
    page = new_dataset("Re-indexed")
    drop(page, *sorted(DEMO.glob("solar_system-*.jpg"))[:4])
    page.get_by_role("link", name="Show the pictures").wait_for(timeout=PATIENCE)
    page.get_by_role("link", name="Index", exact=True).click()
    problems = faults(page)
    page.get_by_role("radio", name="efficientnet-lite0 exact").check()
    page.get_by_role("button", name="Build this index").click()
    compare = page.get_by_role("link", name="Compare with the active one")
    compare.wait_for(timeout=PATIENCE)
    problems += faults(page)
    compare.click()
    expect(page.locator(".comparison")).to_contain_text("4 of 4 find themselves", timeout=PATIENCE)
    expect(page.locator(".neighbours .shared").first).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        problems += faults(page)
    page.get_by_role("link", name="Indexes of Re-indexed").click()
    page.get_by_role("link", name="Activate").click()
    problems += faults(page)
    page.get_by_role("button", name="Activate").click()
    expect(page.locator(".is-active h2")).to_have_text("efficientnet-lite0:exact")
    page.get_by_role("link", name="Roll back to it").click()
    page.get_by_role("button", name="Activate").click()
    expect(page.locator(".is-active h2")).to_have_text("efficientnet-lite0")
    assert problems == []


def test_staff_run_an_audit(new_dataset: Callable[[str], Page]) -> None:
    page = new_dataset("Audited")
    page.get_by_role("link", name="Audits").click()
    page.get_by_role("button", name="Run an audit now").click()
    expect(page.get_by_text("0 repaired")).to_be_visible()
    expect(page.locator("main .state-word").first).not_to_have_text("running", timeout=PATIENCE)
    assert faults(page) == []
