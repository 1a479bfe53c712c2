"""Every way in which a picture comes to the search page, and where it leads."""

from __future__ import annotations

import base64
import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import CAT, DEMO, Visitor, drop

RESULTS = re.compile(r"/search/[\w-]{16,}/")


def expect_results(page: Page, best: str = "Cat") -> None:
    page.wait_for_url(RESULTS)
    expect(page.locator(".card").first).to_contain_text(best)
    summary = re.compile(r"\d+ match(es)? in [\d,]+ pictures")
    expect(page.locator(".summary")).to_contain_text(summary)


def titles(page: Page) -> list[str]:
    return page.locator(".card .title").all_inner_texts()


def test_choosing_a_file(visitor: Visitor) -> None:
    page = visitor.open()
    page.locator("input[name=picture]").set_input_files(CAT)
    expect_results(page)
    expect(page.locator(".summary")).to_contain_text("search")
    assert page.locator(".query-picture img").evaluate("(img) => img.complete && img.naturalWidth")
    shown = page.locator(".foot .numbers").all_text_contents()
    scores = [float(text.split()[-1]) for text in shown]
    assert scores[0] > 0.95
    assert scores == sorted(scores, reverse=True)


def test_the_way_to_the_results_shows_their_layout(visitor: Visitor) -> None:
    page = visitor.open()
    page.route("**/search/", lambda route: route.fulfill(status=204))  # leads nowhere
    page.locator("input[name=picture]").set_input_files(CAT)
    expect(page.get_by_role("status").filter(has_text="searching")).to_be_visible()
    expect(page.locator(".ghost").first).to_be_visible()
    expect(page.locator(".query-picture img")).to_be_visible()
    expect(page.locator(".query-picture img")).to_have_attribute("src", re.compile("^blob:"))


def test_dropping_anywhere(visitor: Visitor) -> None:
    page = visitor.open()
    drop(page, CAT)
    expect_results(page)
    drop(page, DEMO / "solar_system-saturn.jpg")  # the results take pictures too
    expect(page.locator(".query-name").first).to_contain_text("saturn")
    expect_results(page, "Saturn")


@pytest.mark.parametrize("kind", ["picture", "address"])
def test_pasting(visitor: Visitor, web: str, kind: str) -> None:
    page = visitor.open()
    page.evaluate(
        """([kind, data, address]) => {
          const clipboardData = new DataTransfer();
          if (kind === "picture") {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            clipboardData.items.add(new File([bytes], "image.jpg", { type: "image/jpeg" }));
          } else {
            clipboardData.setData("text/plain", address);
          }
          document.body.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
        }""",
        [kind, base64.b64encode(CAT.read_bytes()).decode(), f"{web}/{CAT.name}"],
    )
    expect_results(page)


def test_the_address_of_a_picture(visitor: Visitor, web: str) -> None:
    page = visitor.open()
    page.get_by_label("or the address of a picture").fill(f"{web}/{CAT.name}")
    page.get_by_role("button", name="Search").click()
    expect_results(page)


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/latest/", "http://[::1]/a.png", "http://10.0.0.1/a.png"]
)
def test_an_address_that_is_refused_stays_in_its_field(visitor: Visitor, address: str) -> None:
    page = visitor.open()
    field = page.get_by_label("or the address of a picture")
    field.fill(address)
    page.get_by_role("button", name="Search").click()
    alert = page.get_by_role("alert")
    expect(alert).to_be_visible()
    expect(alert).to_be_focused()
    expect(field).to_have_value(address)


def test_a_file_that_is_no_picture(visitor: Visitor) -> None:
    page = visitor.open()
    page.locator("input[name=picture]").set_input_files(
        {"name": "holiday.jpg", "mimeType": "image/jpeg", "buffer": b"%PDF-1.7 and so on"}
    )
    expect(page.get_by_role("alert")).to_contain_text("not a picture")
    expect(page.get_by_role("button", name="Search")).to_be_visible()


def test_nothing_given(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a picture first")


def test_a_match_is_the_next_question(visitor: Visitor) -> None:
    page = visitor.open()
    page.locator("input[name=picture]").set_input_files(CAT)
    expect_results(page)
    page.locator(".weak > summary").click()
    second = page.locator(".card").nth(1)
    name = second.locator(".title").inner_text()
    page.evaluate("window.isStillHere = true")
    with page.context.expect_page() as opened:
        second.locator("a").first.click(modifiers=["ControlOrMeta"])
    opened.value.close()  # a new tab is a new tab
    second.locator("a").first.click()
    page.wait_for_url("**/search/?image=*")
    expect(page.locator(".card").first).to_contain_text("this picture")
    assert name.endswith(titles(page)[0].split()[-1])
    assert page.evaluate("window.isStillHere")  # nothing but the results was loaded
    assert page.title().startswith("Pictures like ")
    assert page.title() != "Pictures like cat.jpg · Lookalike"
    page.locator("#another input[name=picture]").set_input_files(CAT)
    page.wait_for_url(re.compile("/search/[^/?]{10,}/"))
    expect_results(page)
    page.go_back()
    expect(page.locator(".card").first).to_contain_text("this picture")
    page.go_back()
    expect_results(page)
    page.locator(".card").first.get_by_role("link", name="open").click()
    expect(page.get_by_role("link", name="Find similar")).to_be_visible()


def test_the_address_of_the_results_can_be_shared(visitor: Visitor) -> None:
    page = visitor.open()
    page.locator("input[name=picture]").set_input_files(CAT)
    expect_results(page)
    before = titles(page)
    page.reload()
    assert titles(page) == before
    somebody = visitor.open(page.url.removeprefix(visitor.url))
    assert titles(somebody) == before
    expect(somebody.locator(".query-picture img")).to_be_visible()


def test_another_dataset_and_more_matches(visitor: Visitor) -> None:
    page = visitor.open()
    page.locator("input[name=picture]").set_input_files(CAT)
    expect_results(page)
    page.goto(f"{page.url}?dataset=demo")
    assert page.locator(".card").count() == 20
    page.get_by_label("Matches on a page").select_option("50")
    expect(page.locator(".card")).to_have_count(50)
    assert page.url.endswith("?dataset=demo&k=50")


def test_trying_a_demo_picture(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_role("link", name="Find pictures like Kingfisher").click()
    expect(page.locator(".card").first).to_contain_text("this picture")


def test_a_search_that_is_gone(visitor: Visitor) -> None:
    page = visitor.open("/search/was-here-yesterday/")
    expect(page.get_by_role("heading")).to_have_text("This search is gone")


def test_without_javascript(visitor: Visitor) -> None:
    page = visitor.open(java_script_enabled=False)
    page.locator("input[name=picture]").set_input_files(CAT)
    page.get_by_role("button", name="Search").click()
    expect_results(page)
    page.locator(".weak > summary").click()
    # Bars and grounds need no script.
    widths = page.locator(".bar .fill").evaluate_all(
        "(bars) => bars.map((bar) => bar.getBoundingClientRect().width)"
    )
    assert widths[0] > widths[-1] > 0


def test_with_the_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.open()
    # Listening from the start: the browser must know long before the key that we choose the file.
    page.on("filechooser", lambda chooser: chooser.set_files(CAT))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("input[name=picture]")).to_be_focused()
    page.keyboard.press("Enter")
    expect_results(page)
    first = page.locator(".card a.main").first
    for _ in range(60):
        page.keyboard.press("Tab")
        if first.evaluate("(link) => link === document.activeElement"):
            break
    expect(first).to_be_focused()
    expect(page.locator(".card .tile").first).to_have_css("outline-style", "solid")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/?image=*")
