"""Make the pictures of docs/search.md, by the application: `python -m tests.browser.pictures`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from harness.edits import EDITS, edited
from harness.installation import ROOT, Client, running
from tests.browser.conftest import DEMO, FLAGS, chromium_path
from tests.pictures import jpeg

IMAGES = ROOT / "docs" / "images"
CAT = DEMO / "explore_farm_animals-cat.jpg"
WIDE = {"width": 1200, "height": 760}
PHONE = {"width": 390, "height": 760}


def _ask(page: Page, picture: bytes) -> None:
    file = {"name": "from-the-web.jpg", "mimeType": "image/jpeg", "buffer": picture}
    page.goto("/")
    page.locator("input[name=picture]").first.set_input_files(file)  # type: ignore[arg-type]
    page.wait_for_url("**/search/*/**")
    page.wait_for_load_state("networkidle")


def kinds(page: Page) -> None:
    """A cut and recompressed copy, found among other copies."""
    cat = Image.open(CAT)
    _ask(page, jpeg(cat.crop((40, 30, 420, 300)), 70))


def crop(page: Page) -> None:
    """A part of a picture with much in it."""
    _ask(page, (DEMO / "explore_farm_animals-horse.jpg").read_bytes())
    page.goto(f"{page.url.partition('?')[0]}?box=0.3,0.1,0.4,0.7")
    page.wait_for_load_state("networkidle")


def nothing(page: Page) -> None:
    """A picture whose like is not there."""
    noise = Image.effect_mandelbrot((640, 420), (-2, -1.3, 1.2, 1.3), 60)
    _ask(page, jpeg(noise))


def phone(page: Page) -> None:
    kinds(page)


PICTURES: dict[str, tuple[Callable[[Page], None], dict[str, int], str]] = {
    "search-kinds": (kinds, WIDE, "light"),
    "search-crop": (crop, WIDE, "light"),
    "search-nothing": (nothing, WIDE, "light"),
    "search-phone": (phone, PHONE, "dark"),
}


def make(url: str, folder: Path) -> None:
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=flags)
        for name, (show, size, scheme) in PICTURES.items():
            context = browser.new_context(
                base_url=url,
                viewport=size,  # type: ignore[arg-type]
                color_scheme=scheme,  # type: ignore[arg-type]
                has_touch=size is PHONE,
                is_mobile=size is PHONE,
            )
            page = context.new_page()
            show(page)
            with tempfile.TemporaryDirectory() as draft:
                shot = Path(draft) / "shot.png"
                page.screenshot(path=shot)
                Image.open(shot).save(folder / f"{name}.webp", quality=80, method=6)
            context.close()
        browser.close()


def main() -> None:
    with running() as installation:
        installation.wait_demo()
        admin = Client(installation.url, installation.key("write"))
        slug = admin.dataset("Copies", "public")
        cat = Image.open(CAT).convert("RGB")
        copies = [(f"cat-{edit}.jpg", jpeg(edited(cat, edit, 0))) for edit in EDITS]
        admin.finished(admin.upload(slug, *copies)["job"])
        make(installation.url, IMAGES)


if __name__ == "__main__":
    main()
