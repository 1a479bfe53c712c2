"""A real Chromium in front of a whole running application."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from harness.chromium import find_browser
from harness.installation import ROOT, Installation

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEMO = ROOT / "demo"
CAT = DEMO / "explore_farm_animals-cat.jpg"
# Layout shifts that no input caused, summed up as the page lives.
_WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def chromium_path() -> str:
    path = find_browser()
    if path is None:
        pytest.fail("The browser tests need Chromium or Chrome: install one, or set CHROMIUM.")
    return path


# Not for the session: Playwright runs an event loop, beside which Django refuses its database.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=flags)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Opens pages and notes what the browser complains about."""

    browser: Browser
    url: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, path: str = "/", *, sign_in: bool = False, **options: Any) -> Page:
        """Open `path` in a context of its own; `options` are those of Playwright's contexts."""
        context = self.browser.new_context(base_url=self.url, **options)
        context.set_default_timeout(30_000)
        context.add_init_script(_WATCH_SHIFTS)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if sign_in:
            page.goto(f"/login/?next={path}")
            page.get_by_label("Username").fill("admin")
            page.get_by_label("Password").fill(Installation.admin_password)
            page.get_by_role("main").get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"**{path}")
        else:
            page.goto(path)
        return page

    def _note(self, message: ConsoleMessage) -> None:
        # That an address answers 404 or 422 is the server's word, which tests look at themselves.
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def visitor(browser: Browser, installation: Installation) -> Iterator[Visitor]:
    """A visitor; the test fails if the console had errors, a violated policy among them."""
    visitor = Visitor(browser, installation.url)
    yield visitor
    for context in visitor.contexts:
        context.close()
    assert visitor.complaints == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="package")
def web() -> Iterator[str]:
    """Address of a web server on loopback that serves the demo pictures."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(DEMO)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def new_dataset(visitor: Visitor) -> Callable[[str], Page]:
    """Make a dataset by its form; return the page of it, signed in as `admin`."""

    def make(name: str, **options: Any) -> Page:
        page = visitor.open("/datasets/new/", sign_in=True, **options)
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name="Make dataset").click()
        page.get_by_role("heading", name=name).wait_for()
        page.wait_for_load_state()  # and its scripts have run: people are slower than they
        return page

    return make


def drop(page: Page, *files: Path) -> None:
    """Drop files on the page, as a person would from a file manager."""
    named = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    page.evaluate(
        """(given) => {
          const transfer = new DataTransfer();
          for (const [name, data] of given) {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
          }
          for (const type of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(
              new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
          }
        }""",
        named,
    )
