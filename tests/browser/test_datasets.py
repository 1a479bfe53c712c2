"""Looking through datasets, changing and deleting them."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import CAT, DEMO, Visitor, drop

PICTURES = sorted(DEMO.glob("solar_system-*.jpg"))


def test_looking_through_a_gallery(visitor: Visitor) -> None:
    page = visitor.open("/datasets/")
    page.get_by_role("link", name="Demo gallery").click()
    expect(page.locator(".card")).to_have_count(60)
    for number in (120, 180, 228):
        page.get_by_role("link", name="Older pictures").click()
        expect(page.locator(".card")).to_have_count(number)
    expect(page.get_by_role("link", name="Older pictures")).to_have_count(0)
    links = page.locator(".card a").evaluate_all("(links) => links.map((link) => link.href)")
    assert len(set(links)) == 228
    page.locator(".card a").first.click()
    page.get_by_role("link", name="Find similar").click()
    expect(page.locator(".card").first).to_contain_text("this picture")


def test_a_gallery_without_javascript(visitor: Visitor) -> None:
    page = visitor.open("/datasets/demo/", java_script_enabled=False)
    first = page.locator(".card a").first.get_attribute("href")
    page.get_by_role("link", name="Older pictures").click()
    expect(page.locator(".card")).to_have_count(60)
    assert page.locator(".card a").first.get_attribute("href") != first


def test_adding_without_javascript(new_dataset: Callable[..., Page]) -> None:
    page = new_dataset("Plain form", java_script_enabled=False)
    page.get_by_role("link", name="Import pictures").click()
    page.locator("input[name=file]").set_input_files([CAT, PICTURES[0]])
    page.get_by_role("button", name="Add").click()
    page.wait_for_url("**/jobs/**")
    for _ in range(60):
        if page.get_by_text("2 of 2 ready").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(page.get_by_text("2 of 2 ready")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_a_job_is_watched_live(visitor: Visitor, new_dataset: Callable[[str], Page]) -> None:
    page = new_dataset("Watched")
    page.get_by_role("link", name="Import pictures").click()
    page.wait_for_load_state()
    page.locator("input[name=file]").set_input_files(PICTURES)
    expect(page.locator("[data-upload-said]")).to_contain_text(
        re.compile("All is sent|ready"), timeout=60_000
    )
    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_role("link", name=f"{len(PICTURES)} files").first.click()
    expect(page.get_by_text(f"{len(PICTURES)} of {len(PICTURES)} ready").first).to_be_visible(
        timeout=60_000
    )
    expect(page.locator("tbody tr")).to_have_count(len(PICTURES))


def test_editing_and_deleting(new_dataset: Callable[[str], Page]) -> None:
    page = new_dataset("Short life")
    drop(page, CAT)
    expect(page.locator("[data-upload-said]")).to_have_text("1 of 1 ready.", timeout=60_000)
    page.get_by_role("link", name="Show the pictures").click()
    page.locator(".card a").click()
    page.get_by_label("Title").fill("A cat of ours")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A cat of ours")
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete picture").click()
    expect(page.get_by_text("‘A cat of ours’ is deleted.")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Type 0, the number of its pictures").fill("0")
    page.get_by_role("button", name="Delete dataset").click()
    expect(page.get_by_text("and its pictures are deleted")).to_be_visible()
    expect(page.get_by_role("link", name="Short life")).to_have_count(0)


def test_an_empty_dataset_says_so_to_a_search(new_dataset: Callable[[str], Page]) -> None:
    page = new_dataset("Nothing here")
    page.goto("/?dataset=nothing-here")
    page.locator("input[name=picture]").set_input_files(CAT)
    expect(page.get_by_role("heading", name="Nothing to search in yet")).to_be_visible()
    page.get_by_role("link", name="Add pictures").click()
    expect(page.get_by_text("This dataset is empty")).to_be_visible()
