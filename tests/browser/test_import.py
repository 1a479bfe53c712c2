"""Importing in the browser: files, folders, archives, and connections that break."""

from __future__ import annotations

import base64
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import CAT, DEMO, Visitor, drop
from tests.browser.test_quality import faults

PICTURES = sorted(DEMO.glob("solar_system-*.jpg"))
MANY = sorted(DEMO.glob("categorization-*.jpg"))[:20]
UPLOADS = "**/api/v1/uploads/**"

# A folder as a file manager drops it: an entry that is read in pieces.
DROP_FOLDER = """(given) => {
  const bytes = (data) => Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const file = ([name, data]) => ({
    isFile: true, fullPath: `/holiday/sea/${name}`,
    file: (resolve) => resolve(new File([bytes(data)], name, { lastModified: 1 })),
  });
  const folder = (path, pieces) => ({
    isFile: false, fullPath: path,
    createReader: () => ({ readEntries: (resolve) => resolve(pieces.shift() ?? []) }),
  });
  const half = Math.ceil(given.length / 2);
  const pieces = [given.slice(0, half).map(file), given.slice(half).map(file)];
  const inner = folder("/holiday/sea", pieces);
  const item = { webkitGetAsEntry: () => folder("/holiday", [[inner]]) };
  const event = new Event("drop", { bubbles: true, cancelable: true });
  event.dataTransfer = { items: [item], files: [], types: ["Files"] };
  document.body.dispatchEvent(event);
}"""


def expect_status(page: Page, words: str | re.Pattern[str]) -> None:
    expect(page.locator("[data-upload-said]")).to_have_text(words, timeout=60_000)


@pytest.fixture
def tab(new_dataset: Callable[..., Page]) -> Callable[[str], Page]:
    """Make a dataset; return its Import tab."""

    def make(name: str) -> Page:
        page = new_dataset(name)
        page.get_by_role("link", name="Import pictures").click()
        page.get_by_text("Drop pictures, folders or archives here").wait_for()
        page.wait_for_load_state()
        return page

    return make


def test_files_a_bad_one_and_an_archive(tab: Callable[[str], Page], tmp_path: Path) -> None:
    page = tab("All at once")
    bad, archive = tmp_path / "report.jpg", tmp_path / "planets.zip"
    bad.write_bytes(b"%PDF-1.7 not a picture")
    with zipfile.ZipFile(archive, "w") as writer:
        for picture in PICTURES:
            writer.write(picture, f"planets/{picture.name}")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
    page.get_by_text("Options").click()
    page.get_by_label("Label", exact=True).fill("mixed")
    page.locator("input[name=file]").set_input_files([*MANY, bad, archive])
    ready = len(MANY) + len(PICTURES)
    expect_status(page, f"{ready} of {ready + 1} ready, 1 rejected.")
    # A small file is one request, and so is a small archive.
    sent = [line for line in requests if "/api/v1/uploads/" in line]
    assert len(sent) == len(MANY) + 2
    assert all(line.startswith("POST") for line in sent)
    expect(page.locator(".failures li")).to_contain_text("report.jpg")
    assert faults(page) == []
    page.get_by_role("link", name="What became of each file").click()
    page.get_by_role("link", name="Rejected 1").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert faults(page) == []
    page.get_by_role("link", name="All at once").click()
    expect(page.locator(".card")).to_have_count(ready)


def test_a_folder_is_walked_through(tab: Callable[[str], Page]) -> None:
    page = tab("A folder")
    page.get_by_text("Options").click()
    page.get_by_label("The folder that a picture is in becomes its label").check()
    files = [[one.name, base64.b64encode(one.read_bytes()).decode()] for one in PICTURES]
    page.evaluate(DROP_FOLDER, [*files, [".DS_Store", ""]])
    expect_status(page, f"{len(PICTURES)} of {len(PICTURES)} ready.")
    page.get_by_role("link", name="What became of each file").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("holiday")
    expect(page.get_by_text(f"holiday/sea/{PICTURES[0].name}")).to_be_visible()


def test_a_cut_connection_goes_on_where_it_was(
    visitor: Visitor, tab: Callable[[str], Page], tmp_path: Path
) -> None:
    """A file of three pieces: the line breaks behind the first one."""
    page = tab("Cut")
    archive = tmp_path / "large.zip"
    with zipfile.ZipFile(archive, "w") as writer:  # stored, not packed: some bytes do no harm
        writer.write(CAT, CAT.name)
        writer.writestr("noise.bin", os.urandom(18_000_000))
    sent: list[tuple[str, int]] = []
    cut = 0

    def broken(route: Route) -> None:
        nonlocal cut
        if route.request.method == "PATCH" and cut < 2:
            cut += 1
            route.abort("connectionreset")
            return
        offset = route.request.headers.get("upload-offset", "0")
        if route.request.method in ("POST", "PATCH"):
            sent.append((route.request.method, int(offset)))
        route.continue_()

    page.route(UPLOADS, broken)
    page.locator("input[name=file]").set_input_files(archive)
    expect_status(page, re.compile("The connection is lost. Sending goes on where it was"))
    expect_status(page, "1 of 2 ready, 1 rejected.")
    piece = 8 * 1024 * 1024
    assert sent == [("POST", 0), ("PATCH", piece), ("PATCH", 2 * piece)]
    visitor.complaints.clear()  # of the connection


def test_after_a_reload_the_same_files_go_on(visitor: Visitor, tab: Callable[[str], Page]) -> None:
    page = tab("Reloaded")
    numbers = iter(range(1000))

    def stops(route: Route) -> None:
        if route.request.method == "POST" and next(numbers) >= 8:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(UPLOADS, stops)
    page.locator("input[name=file]").set_input_files(MANY)
    expect(page.locator("[data-sent-text]")).to_contain_text("8 of 20 files", timeout=60_000)
    page.wait_for_timeout(1200)  # what has been sent is written down each second
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.unroute(UPLOADS)
    expect_status(page, re.compile("left before all was sent. 8 files of 20 had been sent"))
    posts: list[str] = []
    page.on(
        "request", lambda request: posts.append(request.url) if "/uploads/" in request.url else None
    )
    page.locator("input[name=file]").set_input_files(MANY)
    expect_status(page, "20 of 20 ready.")
    assert len(posts) == 12
    visitor.complaints.clear()  # of the connection


def test_what_is_dropped_on_the_pictures_is_added(new_dataset: Callable[[str], Page]) -> None:
    page = new_dataset("Dropped")
    drop(page, CAT, PICTURES[0])
    expect_status(page, "2 of 2 ready.")
    page.get_by_role("link", name="Show the pictures").click()
    expect(page.locator(".card")).to_have_count(2)


class Held:
    """Holds uploads back on their way, from the `first` one on."""

    def __init__(self, page: Page, first: int) -> None:
        self.page, self.number, self.first = page, 0, first
        page.route(UPLOADS, self._on)

    def _on(self, route: Route) -> None:
        self.number += 1
        if self.number <= self.first:
            route.continue_()

    def let_go(self) -> None:
        self.first = 1_000_000


def under_way(page: Page) -> Held:
    """Begin to send; four files of twenty have come, and the next ones hang."""
    held = Held(page, 4)
    page.locator("input[name=file]").set_input_files(MANY)
    expect(page.locator("[data-sent-text]")).to_contain_text("4 of 20 files", timeout=60_000)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    return held


def test_an_import_is_paused_and_goes_on(visitor: Visitor, tab: Callable[[str], Page]) -> None:
    page = tab("Paused")
    held = under_way(page)
    page.get_by_role("button", name="Pause").click()
    expect_status(page, "Sending is paused.")
    expect(page.locator("[data-state=paused]")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    assert faults(page) == []
    held.let_go()
    number = held.number
    page.wait_for_timeout(2500)  # the progress has renewed itself, and nothing was sent
    assert held.number == number
    page.get_by_role("button", name="Go on").click()
    expect_status(page, "20 of 20 ready.")
    visitor.complaints.clear()  # of requests that were ended


def test_sending_follows_what_is_done_on_another_page(
    visitor: Visitor, tab: Callable[[str], Page]
) -> None:
    page = tab("Paused elsewhere")
    held = under_way(page)
    other = page.context.new_page()
    other.goto(f"/jobs/{page.locator('[data-job]').get_attribute('data-job')}/")
    other.get_by_role("button", name="Pause").click()
    expect_status(page, "Sending is paused.")
    held.let_go()
    other.get_by_role("button", name="Go on").click()
    expect_status(page, "20 of 20 ready.")
    visitor.complaints.clear()  # of requests that were ended
