"""Searches in a real Chromium, timed from the click until the thumbnails are painted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import Unreaped
from benchmarks.report import NotHere
from harness.chromium import find_browser
from harness.installation import Installation

_FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_SCRIPT = Path(__file__).with_name("painted.js")
DESKTOP, PHONE = (1440, 900), (390, 844)
_SETTLED_MS = 700.0  # after which a page has loaded its deferred parts


def needed_browser() -> str:
    """Return the path of a Chromium or Chrome. Raises `NotHere` when there is none."""
    path = find_browser()
    if path is None:
        raise NotHere("There is no Chromium or Chrome here: install one, or set CHROMIUM.")
    return path


@dataclass(frozen=True)
class Painted:
    """One search in a browser; milliseconds since the click."""

    pictures: int  # thumbnails in view
    first_byte: float
    page: float  # the whole page is loaded
    all: float  # and its thumbnails in view are painted


@dataclass(frozen=True)
class Vitals:
    largest: float  # Largest Contentful Paint, ms
    shifted: float  # Cumulative Layout Shift


class Visitor:
    """A browser of one size, signed in as the administrator."""

    def __init__(self, context: Any, url: str) -> None:
        self._context, self._url = context, url
        self.page = context.new_page()
        self._sign_in()

    def _sign_in(self) -> None:
        page = self.page
        page.goto(f"{self._url}/login/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(Installation.admin_password)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/datasets/")

    def begin(self, picture: Path) -> None:
        """Search with an image from the start page, to open a results page."""
        self.page.goto(f"{self._url}/")
        with self._painted():
            self.page.locator("form[data-search] input[name=picture]").set_input_files(picture)

    def upload(self, picture: Path) -> Painted:
        """Search with another image, from a results page."""
        with self._painted() as painted:
            self.page.locator("#another input[name=picture]").set_input_files(picture)
        return painted()

    def cards(self) -> list[int]:
        """Return the ids of the images whose cards are in view, in their order."""
        return self.page.evaluate(  # type: ignore[no-any-return]
            "[...document.querySelectorAll('[data-cards] .card')]"
            ".filter((card) => card.querySelector('img') && isInView(card.querySelector('img')))"
            ".map((card) => Number(card.id.slice(1)))"
        )

    def click(self, image: int) -> Painted:
        """Search with one of the matches."""
        with self._painted() as painted:
            self.page.locator(f"#m{image} a.main").click()
        return painted()

    def again(self) -> Painted:
        """Reload the results page; its times count from the navigation."""
        with self._painted() as painted:
            self.page.evaluate(
                "sessionStorage.setItem('asked', performance.timeOrigin + performance.now())"
            )
            self.page.reload(wait_until="commit")
        return painted()

    @contextmanager
    def _painted(self) -> Iterator[Callable[[], Painted]]:
        """Time an action in the block until its results are painted.

        Waits first until the page has loaded its deferred parts. Yields a function that waits for
        the painted results and returns their times.
        """
        self.page.wait_for_load_state("networkidle")
        start = "painted "
        with self.page.expect_console_message(lambda entry: entry.text.startswith(start)) as seen:
            yield lambda: Painted(**json.loads(seen.value.text.removeprefix(start)))

    def vitals(self, path: str) -> Vitals:
        """Open a page and return its web vitals."""
        self.page.goto(f"{self._url}{path}", wait_until="load")
        self.page.wait_for_timeout(_SETTLED_MS)
        return Vitals(*self.page.evaluate("[window.largest, window.shifted]"))


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with Unreaped() as begun, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=needed_browser(), args=flags)
        try:
            yield browser
        finally:
            begun.note()
            browser.close()


@contextmanager
def visitor(browser: Any, url: str, size: tuple[int, int] = DESKTOP) -> Iterator[Visitor]:
    """A visitor with a new browser context: no cookies, no cache."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        has_touch=size == PHONE,
        is_mobile=size == PHONE,
    )
    context.add_init_script(path=_SCRIPT)
    context.set_default_timeout(60_000)
    try:
        yield Visitor(context, url)
    finally:
        context.close()
