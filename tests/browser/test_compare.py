"""Two pictures side by side, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import CAT, Visitor
from tests.browser.test_quality import PHONE, faults

PAIR = re.compile(r"/compare/\?query=[\w-]{16,}&with_query=[\w-]{16,}")


@pytest.fixture
def crop(tmp_path: Path) -> Path:
    """A part of the cat, saved anew."""
    path = tmp_path / "crop.jpg"
    Image.open(CAT).crop((120, 40, 560, 420)).save(path, quality=60)
    return path


def choose(page: Page, first: Path, second: Path) -> None:
    page.locator("input[name=picture]").set_input_files(first)
    page.locator("input[name=with_picture]").set_input_files(second)
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(PAIR)


@pytest.mark.parametrize("options", [{"color_scheme": "light"}, {"color_scheme": "dark", **PHONE}],
                         ids=["desktop", "phone"])  # fmt: skip
def test_is_it_a_copy_and_why(visitor: Visitor, crop: Path, options: dict[str, Any]) -> None:
    page = visitor.open("/compare/", **options)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose two pictures")
    choose(page, crop, CAT)
    expect(page.get_by_role("heading", level=1)).to_contain_text("copy")
    expect(page.locator(".compare-head .kind")).to_have_text("near-duplicate")
    expect(page.get_by_role("row", name=re.compile("^Size"))).to_contain_text("440 × 380")

    for mode in ("Slider", "Blink", "Difference"):
        page.get_by_label(mode, exact=True).check(force=True)  # its words cover it
        expect(page.locator("[data-laid]")).to_be_visible()
        expect(page.locator("[data-sides]")).to_be_hidden()
    page.get_by_label("Slider", exact=True).check(force=True)
    shown = page.locator("[data-cut]")
    half = float(shown.get_attribute("width") or 0)
    page.locator("[data-slider]").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert float(shown.get_attribute("width") or 0) > half
    # What lies on it lies where it belongs: the corner of the crop in the cat's picture.
    place = page.locator("[data-over] g").evaluate(
        "(g) => { const at = new DOMPoint(0, 0).matrixTransform(g.transform.baseVal[0].matrix);"
        " return [at.x, at.y]; }"
    )
    assert place == pytest.approx([120 / 640 * 1000, 40 / 640 * 1000], abs=15)

    heats = page.locator(".heat")
    heats.first.scroll_into_view_if_needed()
    for place in range(2):
        # Not `wait_for_function`: it asks by eval, which the policy of the page refuses.
        expect(heats.nth(place)).not_to_have_js_property("naturalWidth", 0, timeout=180_000)
    layers = page.locator(".layers").first
    layers.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".cells").first.locator(".chosen")).to_have_count(1)
    expect(page.locator(".cells").nth(1).locator("rect")).to_have_count(49)
    page.keyboard.press("Escape")
    expect(page.locator(".cells rect")).to_have_count(0)
    expect(page.locator(".point-pair").first).to_be_visible()
    assert faults(page) == []
    width = page.viewport_size["width"] if page.viewport_size else 0
    wide = page.evaluate(
        "[...document.querySelectorAll('main *, header *')].filter((each) =>"
        " each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML"
        ".slice(0, 80)).slice(0, 5)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width, wide


def test_without_scripts(visitor: Visitor, crop: Path) -> None:
    page = visitor.open("/compare/?image=1", java_script_enabled=False)
    page.locator("input[name=with_picture]").set_input_files(crop)
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(re.compile(r"/compare/\?image=1&with_query="))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".stage svg").first).to_be_visible()
    expect(page.get_by_role("table")).to_contain_text("SHA-256")
    assert page.get_by_text("Blink").count() == 0 or not page.get_by_text("Blink").is_visible()


def test_what_is_wrong_is_said_and_what_was_right_is_kept(visitor: Visitor, crop: Path) -> None:
    page = visitor.open("/compare/")
    page.locator("input[name=picture]").set_input_files(crop)
    page.get_by_label("or an address").nth(1).fill("nowhere")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("neither the address of a picture")
    expect(page.get_by_text("crop.jpg")).to_be_visible()
    page.get_by_label("or an address").nth(1).fill("2")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(re.compile(r"/compare/\?query=[\w-]+&with=2$"))
    page.get_by_role("link", name="Swap").click()
    page.wait_for_url(re.compile(r"/compare/\?image=2&with_query="))
