"""Nothing inline, nowhere: the policy is sent with every answer, and no template breaks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client, RequestFactory
from django.urls import reverse

from searchapp.pages import errors
from searchapp.pages.urls import urlpatterns
from tests.factories import add_image
from tests.pages.conftest import House

TEMPLATES = sorted(Path(settings.BASE_DIR, "templates").rglob("*.*"))
INLINE = re.compile(
    r"<style|\sstyle\s*=|<script(?![^>]*\ssrc=)|\son[a-z]+\s*=|javascript:|hx-on|hx-vals=.js", re.I
)
STATIC = Path(settings.BASE_DIR, "static")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_anything_inline(template: Path) -> None:
    assert not INLINE.search(template.read_text())


def test_every_address_sends_a_strict_policy(house: House) -> None:
    image = add_image(house.public)
    job = "00000000-0000-0000-0000-000000000000"
    values = {
        "pk": image.pk,
        "slug": house.public.slug,
        "side": 256,
        "token": "x",
        "action": "pause",
    }
    client = house.client("owner")
    for pattern in urlpatterns:
        names = pattern.pattern.converters
        arguments = {name: values[name] for name in names} | (
            {"pk": job} if str(pattern.name).startswith("job") and "pk" in names else {}
        )
        answer = client.get(reverse(pattern.name, kwargs=arguments))
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy, pattern.name
        assert "unsafe" not in policy, pattern.name


@pytest.mark.parametrize("path", ["/nothing-here/", "/api/v1/nothing/", "/api/schema/"])
@pytest.mark.django_db
def test_other_addresses_send_it_too(path: str) -> None:
    assert "unsafe" not in Client().get(path)["Content-Security-Policy"]


@pytest.mark.django_db
def test_admin_and_docs_have_their_own() -> None:
    assert "unsafe-eval" in Client().get("/admin/login/")["Content-Security-Policy"]
    docs = Client().get("/api/docs/")["Content-Security-Policy"]
    assert "unsafe-inline" in docs
    assert "unsafe-eval" not in docs


def test_htmx_runs_within_the_policy(house: House) -> None:
    page = house.client("anonymous").get(house.public.get_absolute_url()).content.decode()
    assert '"includeIndicatorStyles":false' in page
    assert '"allowEval":false' in page


def scripts_of(text: str) -> set[Path]:
    """Our scripts that a template loads, with its parts, and those that they import."""
    scripts = set()
    for name in re.findall(r"include \"([\w/]+\.html)\"", text):
        if (part := Path(settings.BASE_DIR, "templates", name)).exists():  # ours, not the admin's
            scripts |= scripts_of(part.read_text())
    for name in re.findall(r"static 'js/([\w-]+\.js)'|from \"\./([\w-]+\.js)\"", text):
        script = STATIC / "js" / "".join(name)
        scripts |= {script, *scripts_of(script.read_text())}
    return scripts


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_our_javascript_stays_small(template: Path) -> None:
    base = Path(settings.BASE_DIR, "templates", "base.html").read_text()
    loaded = scripts_of(base) | scripts_of(template.read_text())
    assert sum(script.stat().st_size for script in loaded) < 45_000  # of the 60 KB of any page
    assert loaded


def test_pages_are_light_before_pictures(house: House) -> None:
    for place in range(61):
        add_image(house.public, name=f"a picture with a longish name {place}.png")
    client = house.client("owner")
    for url in (house.public.get_absolute_url(), "/", "/credits/"):
        page = client.get(url).content.decode()
        linked = re.findall(r'(?:src|href)="/static/([^"]+\.(?:css|js))"', page)
        modules = ["js/drop-target.js"] if "search.js" in page else []
        if "import.js" in page:
            modules = [f"js/{name}.js" for name in ("drop-target", "tus-sender", "dropped-files")]
        weight = len(page.encode()) + sum(
            (STATIC / name).stat().st_size for name in {*linked, *modules}
        )
        assert linked
        assert weight < 175_000, url


def test_the_error_of_last_resort_needs_nothing() -> None:
    page = errors.server_error(RequestFactory().get("/"))
    assert page.status_code == 500
    assert "noted it in its log" in page.content.decode()
    problem = errors.server_error(RequestFactory().get("/api/v1/datasets/"))
    assert problem["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_missing_pages_speak_to_people_and_programs() -> None:
    page = Client().get("/nothing-here/")
    assert page.status_code == 404
    assert "There is nothing here" in page.content.decode()
    assert Client().get("/api/v1/nothing/")["Content-Type"] == "application/problem+json"
