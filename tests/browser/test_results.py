"""Questions that people come with, each asked to its end."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect

from harness.installation import Client
from tests.browser.conftest import DEMO, Visitor
from tests.browser.test_quality import PHONE, faults
from tests.pictures import jpeg

RESULTS = re.compile(r"/search/[\w-]{16,}/")
WINDMILL = DEMO / "categorization-windmill1.jpg"
CASTLE = DEMO / "explore_monuments-germany-neuschwansteinCastle.jpg"
MINARET = DEMO / "categorization-kutubMinar.jpg"
GIRAFFE = DEMO / "erase-giraffe.jpg"
LOGOS = 12


def logo(number: int) -> Image.Image:
    """A mark of a few shapes on white, each number's its own."""
    chosen = random.Random(number)
    image = Image.new("RGB", (480, 320), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        left, top = chosen.randrange(20, 360), chosen.randrange(20, 220)
        box = [left, top, left + chosen.randrange(30, 110), top + chosen.randrange(30, 90)]
        color = tuple(chosen.randrange(0, 220) for _ in range(3))
        chosen.choice([draw.ellipse, draw.rectangle])(box, fill=color)
    return image


@pytest.fixture(scope="module")
def marks(admin: Client) -> Iterator[str]:
    """A public dataset of logos, beside which copies are to be found."""
    slug = admin.dataset("Registered marks", "public")
    files = [(f"mark-{number}.jpg", jpeg(logo(number))) for number in range(LOGOS)]
    metadata = '{"owner": "Mill & Sons", "year": 1999}'
    admin.finished(admin.upload(slug, *files, metadata=metadata)["job"])
    yield slug
    admin.delete(f"/datasets/{slug}/")


def ask(page: Page, picture: bytes, name: str = "query.jpg") -> None:
    file: Any = {"name": name, "mimeType": "image/jpeg", "buffer": picture}
    page.locator("input[name=picture]").first.set_input_files(file)
    page.wait_for_url(RESULTS)
    expect(page.locator("#summary")).to_contain_text("in ")
    page.wait_for_load_state("networkidle")


def group(page: Page, kind: str) -> Locator:
    return page.locator(f"section.group[data-kind='{kind}']")


def settled(page: Page) -> None:
    expect(page.locator("[data-page]")).not_to_have_attribute("aria-busy", "true")


def test_where_is_this_photo_from(visitor: Visitor) -> None:
    """A copy that was sent around leads to the picture and to what is known of it."""
    page = visitor.open()
    ask(page, jpeg(Image.open(CASTLE).resize((400, 300)), 40))
    best = group(page, "near-duplicate").locator(".card").first
    expect(best).to_contain_text("Neuschwanstein")
    best.hover()
    best.get_by_role("link", name="Open").click()
    expect(page.get_by_role("link", name="Find similar")).to_be_visible()
    expect(page.get_by_text("author", exact=True)).to_be_visible()


def test_is_this_logo_already_taken(visitor: Visitor, marks: str) -> None:
    page = visitor.open(f"/?dataset={marks}")
    ask(page, jpeg(logo(3).resize((300, 200)), 60))
    best = page.locator("section.group .card").first
    expect(best).to_contain_text("mark-3.jpg")
    expect(page.locator(".kind").first).to_contain_text(re.compile("Near-duplicates|Identical"))
    # One that is not there is not made out to be.
    page.goto(f"/?dataset={marks}")
    ask(page, jpeg(logo(99)))
    expect(group(page, "identical")).to_have_count(0)
    expect(group(page, "near-duplicate")).to_have_count(0)


def test_find_the_uncropped_original(visitor: Visitor) -> None:
    page = visitor.open()
    whole = Image.open(GIRAFFE)
    width, height = whole.size
    part = whole.crop((width // 4, height // 5, width * 9 // 10, height * 9 // 10))
    ask(page, jpeg(part))
    best = group(page, "near-duplicate").locator(".card").first
    expect(best).to_contain_text("Giraffe")
    expect(best.locator(".edits")).to_contain_text("cropped")


def test_is_this_the_same_thing(visitor: Visitor) -> None:
    """Two photographs of one tower; the compare page says what they have in common."""
    page = visitor.open(viewport={"width": 1440, "height": 900})
    ask(page, jpeg(Image.open(MINARET), 92))
    expect(group(page, "near-duplicate")).to_contain_text("Kutub minar")
    other = group(page, "same thing").locator(".card").first
    expect(other).to_contain_text("Qutub minar")
    other.hover()
    other.get_by_role("link", name="Compare").click()
    page.wait_for_url("**/compare/**")
    main = page.get_by_role("main")
    expect(main).to_contain_text("The same thing, in another photograph.")
    expect(main.get_by_role("heading", name="Points that lie alike")).to_be_visible()


def test_a_part_by_mouse(visitor: Visitor) -> None:
    page = visitor.open(viewport={"width": 1440, "height": 900})
    ask(page, WINDMILL.read_bytes())
    whole = page.locator("#summary").inner_text()
    draw_box(page)
    expect(page).to_have_url(re.compile(r"box=0\.\d+,0\.\d+,0\.\d+,0\.\d+"))
    expect(page.locator("#summary")).to_contain_text("by a part of the picture")
    assert page.locator("#summary").inner_text() != whole
    expect(page.locator(".card").first).to_contain_text("Windmill")
    page.locator(".card").first.hover()
    page.locator(".card").first.get_by_role("link", name="Compare").click()
    page.wait_for_url("**/compare/**")
    assert "box=" in page.url


def draw_box(page: Page) -> None:
    stage = page.locator("[data-stage] img").bounding_box()
    assert stage is not None
    left, top = stage["x"] + stage["width"] * 0.25, stage["y"] + stage["height"] * 0.2
    page.mouse.move(left - 4, top - 4)
    expect(page.locator("cropper-canvas")).to_be_visible()
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 30, top + 30, steps=3)
    page.mouse.move(left + stage["width"] * 0.5, top + stage["height"] * 0.6, steps=5)
    page.mouse.up()


def test_nothing_like_it_is_here(visitor: Visitor, marks: str) -> None:
    page = visitor.open(f"/?dataset={marks}")
    ask(page, (DEMO / "solar_system-saturn.jpg").read_bytes())
    expect(page.get_by_role("heading", name="Nothing like it here")).to_be_visible()
    weak = page.locator("details.weak")
    expect(weak.locator(".card").first).not_to_be_visible()
    weak.locator("summary").click()
    expect(weak.locator(".card")).to_have_count(LOGOS)
    expect(page).to_have_url(re.compile("weak=1"))
    page.reload()
    expect(weak.locator(".card").first).to_be_visible()


def test_why_on_earth_is_this_one_similar(visitor: Visitor) -> None:
    page = visitor.open("/search/?image=1&weak=1")
    odd = page.locator("details.weak .card").first
    title = odd.locator(".title").inner_text().splitlines()[-1]
    odd.hover()
    odd.get_by_role("link", name="Compare").click()
    page.wait_for_url("**/compare/**")
    expect(page.get_by_role("main")).to_contain_text(title)


def test_a_box_by_keyboard(visitor: Visitor) -> None:
    page = visitor.open()
    ask(page, GIRAFFE.read_bytes())
    page.get_by_role("button", name="Crop").focus()
    page.keyboard.press("Enter")
    box = page.locator("cropper-selection")
    expect(box).to_be_focused()
    expect(page).to_have_url(re.compile("box="))
    settled(page)
    before = page.url
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(page).not_to_have_url(before)
    settled(page)
    expect(box).to_be_focused()  # the new results leave the keyboard where it was
    page.keyboard.press("Delete")
    expect(page).not_to_have_url(re.compile("box="))
    page.go_back()
    expect(page).to_have_url(re.compile("box="))
    expect(page.locator(".lens .cut")).to_be_attached()


def test_what_stands_out_is_suggested(visitor: Visitor) -> None:
    page = visitor.open()
    ask(page, WINDMILL.read_bytes())
    part = page.get_by_role("link", name="Search for part 1 of the picture")
    expect(part).to_be_visible()
    part.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("box="))
    page.get_by_role("link", name="Whole picture").click()
    expect(page).not_to_have_url(re.compile("box="))
    expect(part).to_be_visible()  # remembered


def test_the_line_is_drawn_by_hand(visitor: Visitor) -> None:
    page = visitor.open("/search/?image=1")
    handle = page.get_by_role("slider", name="Cut-off")
    handle.focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"floor=0\.\d\d"))
    expect(handle).to_be_focused()
    expect(page.locator("#cut-reason")).to_contain_text("Your cut-off")
    page.get_by_role("link", name=re.compile("Back to 0")).click()
    expect(page).not_to_have_url(re.compile("floor="))


def test_filters_sort_list_and_pages(visitor: Visitor, marks: str) -> None:
    page = visitor.open("/search/?image=1", viewport={"width": 1440, "height": 1000})
    page.locator("#field-datasets summary").click()
    page.get_by_label("Registered marks").check()
    expect(page).to_have_url(re.compile(f"dataset={marks}"))
    expect(page.locator("#summary")).to_contain_text(f"in {LOGOS} pictures")
    settled(page)
    page.get_by_role("link", name="Remove: in Registered marks").click()
    expect(page).not_to_have_url(re.compile("dataset="))
    page.locator("#asking summary", has_text="Orientation").click()
    page.get_by_label(re.compile("^portrait")).check()
    expect(page).to_have_url(re.compile("f.orientation=portrait"))
    settled(page)
    tall = page.locator(".tile img").evaluate_all(
        "(all) => all.map((img) => img.getAttribute('height') / img.getAttribute('width'))"
    )
    assert tall
    assert min(tall) > 1
    page.get_by_role("link", name="List").click()
    expect(page.locator(".sheet-list .line").first).to_be_attached()
    page.get_by_label("Sort by").select_option("date")
    expect(page).to_have_url(re.compile("sort=date"))
    page.get_by_role("link", name="Remove: Orientation: portrait").click()
    expect(page).not_to_have_url(re.compile("orientation"))


def test_pages_neither_repeat_nor_skip(visitor: Visitor) -> None:
    page = visitor.open("/search/?image=1&dataset=demo&weak=1")
    seen: list[str] = []
    for _ in range(4):
        settled(page)
        seen += page.locator(".card").evaluate_all("(all) => all.map((card) => card.id)")
        before = page.url
        page.get_by_role("link", name="Next matches").click()
        expect(page).not_to_have_url(before)
        expect(page.get_by_role("link", name="Back to the best matches")).to_be_visible()
    assert len(seen) == len(set(seen)) == 80


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_the_results_are_for_everyone(
    visitor: Visitor, scheme: str, options: dict[str, Any]
) -> None:
    page = visitor.open("/search/?image=1&weak=1&f.format=jpeg", color_scheme=scheme, **options)
    summary = page.locator(".query-facts > summary")
    if options:
        summary.click()
        page.get_by_role("button", name="Crop").tap()
        expect(page.locator("cropper-selection")).to_be_visible()
        expect(page).to_have_url(re.compile("box="))
        settled(page)
    problems = faults(page)
    page.goto("/search/?image=1&view=list&sort=size")
    assert problems + faults(page) == []
    assert page.evaluate("window.shifted") < 0.01


def test_asking_without_javascript(visitor: Visitor) -> None:
    page = visitor.open("/search/?image=1", java_script_enabled=False)
    page.locator("#asking summary", has_text="Orientation").click()
    page.get_by_label(re.compile("^portrait")).check()
    page.locator("#asking").get_by_role("button", name="Apply").click()
    page.wait_for_url("**f.orientation=portrait**")
    expect(page.get_by_role("link", name="Remove: Orientation: portrait")).to_be_visible()
    page.goto("/search/?image=1&box=0.2,0.2,0.5,0.5")
    expect(page.locator(".lens .cut")).to_be_visible()
    expect(page.get_by_role("link", name="Whole picture")).to_be_attached()
