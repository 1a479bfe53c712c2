"""Selecting pictures with keyboard, mouse and finger, and what can be done with them."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from harness.installation import Client
from tests.browser.conftest import DEMO, Visitor
from tests.browser.test_quality import PHONE, faults

PICTURES = sorted(DEMO.glob("solar_system-*.jpg"))


def gallery(admin: Client, visitor: Visitor, name: str, **options: object) -> Page:
    """A dataset with seven pictures, signed in as `admin`."""
    slug = admin.dataset(name)
    job = admin.upload(slug, *((path.name, path.read_bytes()) for path in PICTURES[:7]))
    admin.finished(job["job"])
    page = visitor.open(f"/datasets/{slug}/", sign_in=True, **options)
    page.wait_for_load_state("networkidle")
    return page


def ticked(page: Page) -> list[int]:
    """The places of the pictures that are selected."""
    ids: list[int] = page.locator(".pick input").evaluate_all(
        "(boxes) => boxes.flatMap((box, place) => (box.checked ? [place] : []))"
    )
    return ids


def test_with_the_keyboard_alone(admin: Client, visitor: Visitor) -> None:
    page = gallery(admin, visitor, "By keyboard", viewport={"width": 1000, "height": 900})
    bar, status = page.locator("[data-selection]"), page.locator("[data-selection-said]")
    page.locator("[data-card] a").first.focus()
    expect(bar).not_to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert ticked(page) == [1]
    expect(bar).to_be_visible()
    expect(status).to_have_text("1 selected")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert ticked(page) == [1, 2, 3]
    page.keyboard.press("Shift+ArrowLeft")
    assert ticked(page) == [1, 2]
    page.keyboard.press("End")
    page.keyboard.press("Space")
    assert ticked(page) == [1, 2, 6]
    assert faults(page) == []
    page.get_by_text("Tags…").click()
    expect(page.get_by_label("Add", exact=True)).to_be_focused()
    page.keyboard.type("a/b?")  # letters for the field, not keys of the page
    page.keyboard.press("Escape")
    expect(page.get_by_label("Add", exact=True)).not_to_be_visible()
    page.keyboard.press("Escape")
    assert ticked(page) == []
    expect(bar).not_to_be_visible()
    page.keyboard.press("Space")
    everything = page.get_by_label("All 7 pictures")
    everything.check()
    page.locator("[data-card] a").nth(2).focus()
    page.keyboard.press("Shift+ArrowRight")  # means these, and no longer all
    expect(everything).not_to_be_checked()
    assert len(ticked(page)) < 7
    tops = bar.locator(".actions .button:visible").evaluate_all(
        "(all) => all.map((each) => each.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 1
    page.keyboard.press("Escape")
    page.keyboard.press("Control+a")
    assert len(ticked(page)) == 7
    page.keyboard.press("Delete")
    expect(page.get_by_text("7 pictures are deleted.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("7 pictures are back.")).to_be_visible()


def test_with_the_mouse(admin: Client, visitor: Visitor) -> None:
    page = gallery(admin, visitor, "By mouse")
    cards = page.locator("[data-card]")
    cards.nth(1).hover()
    cards.nth(1).locator(".pick input").check()
    cards.nth(4).locator("a").click(modifiers=["Shift"])
    assert ticked(page) == [1, 2, 3, 4]
    cards.nth(2).locator("a").click()  # selects, and does not open, while something is selected
    assert ticked(page) == [1, 3, 4]
    page.get_by_text("Label…").click()
    page.get_by_label("Label", exact=True).fill("planet")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 pictures are labelled.")).to_be_visible()
    page.goto(f"{page.url}?label=planet")
    expect(page.locator("[data-card]")).to_have_count(3)
    cards.first.locator(".pick input").check()
    page.get_by_label("All labelled ‘planet’").check()
    expect(page.locator("[data-count]")).to_have_text("All selected")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("3 pictures are deleted.")).to_be_visible()


def test_with_a_finger_and_without_javascript(admin: Client, visitor: Visitor) -> None:
    page = gallery(admin, visitor, "By finger", **PHONE)
    page.locator(".pick input").first.tap()
    page.locator("[data-card] a").nth(1).tap()
    assert ticked(page) == [0, 1]
    expect(page.locator("[data-selection]")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    plain = visitor.open("/datasets/by-finger/", sign_in=True, java_script_enabled=False)
    plain.locator(".pick input").nth(2).check()
    plain.get_by_role("button", name="Delete").click()
    expect(plain.get_by_text("1 picture is deleted.")).to_be_visible()
    plain.get_by_role("link", name="Deleted 1").click()
    plain.locator(".pick input").check()
    plain.get_by_role("button", name="Bring back").click()
    expect(plain.get_by_text("1 picture is back.")).to_be_visible()


def test_keys_of_every_page(visitor: Visitor) -> None:
    page = visitor.open("/credits/")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    page.keyboard.press("/")
    page.wait_for_url(f"{visitor.url}/")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("/")
    field = page.get_by_label("or the address of a picture")
    expect(field).to_be_focused()
    page.keyboard.press("?")
    expect(field).to_have_value("?")
