"""Every page, in both themes: accessible, within its policy, steady, and as wide as the screen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import CAT, Visitor

AXE = Path(__file__).parent / "vendor" / "axe-core" / "4.14.1" / "axe.min.js"
OPEN = ["/", "/datasets/", "/datasets/demo/", "/images/1/", "/search/?image=1", "/credits/",
        "/login/", "/nothing-here/", "/search/gone/", "/compare/",
        "/compare/?image=1&with=2"]  # fmt: skip
SIGNED_IN = ["/datasets/", "/datasets/new/", "/datasets/demo/", "/datasets/demo/settings/",
             "/datasets/demo/import/", "/datasets/demo/indexes/", "/datasets/demo/indexes/compare/",
             "/images/1/", "/images/1/delete/", "/jobs/", "/audit/"]  # fmt: skip
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
}
RESULTS = re.compile(r"/search/[\w-]{16,}/")


# 720 is what 1,440 pixels are at 200 %.
WIDTHS = (320, 360, 720, 2560)


def faults(page: Page, *rules: str) -> list[str]:
    """What axe finds with these rules, or all of its rules; one line a rule."""
    page.evaluate(AXE.read_text())
    options = {"runOnly": list(rules)} if rules else {}
    report = page.evaluate("(options) => axe.run(options)", options)
    return [
        f"{page.url} {fault['id']}: {[node['html'][:120] for node in fault['nodes'][:3]]}"
        for fault in report["violations"]
    ]


def faults_in_both_themes(page: Page) -> list[str]:
    """All rules in the light theme; in the dark one that of contrast, for only colours differ."""
    page.emulate_media(color_scheme="light")
    problems = faults(page)
    page.emulate_media(color_scheme="dark")
    # Colours change by a transition, in whose middle nothing has its contrast.
    page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
    return problems + [f"dark: {fault}" for fault in faults(page, "color-contrast")]


def test_accessible_to_everyone(visitor: Visitor) -> None:
    page = visitor.open()
    problems = []
    for path in OPEN:
        page.goto(path)
        problems += faults_in_both_themes(page)
    page.goto("/")
    page.locator("input[name=picture]").set_input_files(CAT)
    page.wait_for_url(RESULTS)
    assert problems + faults_in_both_themes(page) == []


def test_accessible_to_owners(visitor: Visitor) -> None:
    page = visitor.open("/jobs/", sign_in=True)
    problems = []
    for path in SIGNED_IN:
        page.goto(path)
        problems += faults_in_both_themes(page)
    assert problems == []


def test_no_page_is_wider_than_the_screen(visitor: Visitor) -> None:
    """Each page is loaded at the narrowest width and resized to the others."""
    page = visitor.open("/jobs/", sign_in=True)
    for path in [*OPEN, *SIGNED_IN]:
        page.set_viewport_size({"width": WIDTHS[0], "height": 800})
        page.goto(path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_nothing_moves_when_pictures_arrive(visitor: Visitor, options: dict[str, Any]) -> None:
    page = visitor.open(**options)
    for path in OPEN:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(200)
        assert page.evaluate("window.shifted") < 0.01, path


def test_the_theme_is_chosen_and_remembered(visitor: Visitor) -> None:
    page = visitor.open(color_scheme="light")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    switch = page.get_by_role("button", name="Theme")
    expect(switch).to_have_accessible_name("Theme: system")
    switch.click()
    assert page.evaluate(ground) == light
    switch.click()
    expect(switch).to_have_accessible_name("Theme: dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.goto("/datasets/")
    assert page.evaluate(ground) == dark
    switch.click()
    assert page.evaluate(ground) == light


def test_the_system_theme_is_followed(visitor: Visitor) -> None:
    page = visitor.open(color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) != dark


def test_on_a_phone(visitor: Visitor) -> None:
    page = visitor.open(**PHONE)
    camera = page.locator("input[name=camera]")
    expect(page.get_by_text("Take a photo", exact=True)).to_be_visible()
    assert camera.get_attribute("capture") == "environment"
    camera.set_input_files(CAT)
    page.wait_for_url(RESULTS)
    # The query is a strip above the matches, which opens.
    crop = page.get_by_role("button", name="Crop")
    expect(crop).not_to_be_visible()
    page.locator(".query-facts > summary").click()
    expect(crop).to_be_visible()
    page.locator(".query-facts > summary").click()
    page.locator(".weak > summary").click()
    page.locator(".card").nth(12).scroll_into_view_if_needed()
    box = page.locator(".query").bounding_box()
    assert box is not None
    assert -1 <= box["y"] <= 1


def test_the_query_stays_beside_the_matches(visitor: Visitor) -> None:
    page = visitor.open("/search/?image=1&weak=1", viewport={"width": 1440, "height": 900})
    expect(page.get_by_role("slider", name="Cut-off")).to_be_visible()
    page.locator(".card").last.scroll_into_view_if_needed()
    expect(page.locator(".query-picture img")).to_be_in_viewport()


def test_targets_are_large_enough_to_touch(visitor: Visitor) -> None:
    page = visitor.open(**PHONE)
    for control in page.get_by_role("main").locator("label.button, button.button, select").all():
        box = control.bounding_box()
        if box is not None:
            assert box["height"] >= 44
