"""`docs/api.md` against the running application: addresses, examples, fields."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
import yaml
from rest_framework.serializers import IntegerField

from harness.installation import ROOT, Client, Installation, wait_until
from searchapp.api.search_serializers import SearchSerializer
from searchapp.models import ImageState, ItemState, JobState, Scope
from tests.docs.curl import carry_out, commands, same_shape
from tests.docs.markdown import blocks, code, prose, tables

PAGE = ROOT / "docs" / "api.md"
README = ROOT / "README.md"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def example_org() -> Iterator[str]:
    """What stands for the picture on the web that the documentation names."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(ROOT / "demo")))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/erase-giraffe.jpg"
    server.shutdown()
    thread.join()
    server.server_close()


def _documented_operations() -> set[tuple[str, str]]:
    return set(re.findall(r"(?m)^### `([A-Z]+) (/\S+)`$", PAGE.read_text()))


def test_every_operation_is_documented_and_no_other(installation: Installation) -> None:
    schema = yaml.safe_load(requests.get(f"{installation.url}/api/schema/", timeout=30).text)
    offered = {
        (method.upper(), path)
        for path, operations in schema["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert _documented_operations() == offered


@pytest.mark.slow
def test_the_examples_answer_as_documented(
    installation: Installation, admin: Client, example_org: str
) -> None:
    """All of them, in their order, as a reader would try them."""
    variables = {"SITE": installation.url, "KEY": installation.key("write")}
    anna = "from django.contrib.auth.models import User; User.objects.create_user('anna')"
    installation.manage("shell", "-c", anna)
    answer: requests.Response | None = None
    ran = 0
    for block in blocks(PAGE):
        if block.kind == "json":
            assert answer is not None, block.text
            same_shape(json.loads(block.text), answer.json(), block.headings[-1])
            continue
        for command in commands(block.text):
            command = command.replace("https://example.org/picture.jpg", example_org)
            answer = carry_out(command, variables)
            ran += 1
            assert answer.status_code == _promised(block.headings[-1]), f"{command}\n{answer.text}"
            operation = (answer.request.method or "", block.headings[-1].strip("`").split(" ")[0])
            assert operation[0] == operation[1] or not block.headings[-1].startswith("`")
            if answer.status_code == 201 and "/imports/" in command:
                variables["IMPORT"] = answer.json()["id"]
            if answer.status_code == 201:
                variables |= _of_uploads(answer)
            if answer.status_code == 200 and "/search/" in command:
                variables["NEXT"] = str(answer.json()["next"])
            if answer.status_code == 202:
                variables |= _accepted(answer.json(), admin)
    assert ran >= len(_documented_operations())


def _of_uploads(answer: requests.Response) -> dict[str, str]:
    """What the page tells its readers to take from an answer, and to write in Base64."""
    if "Location" in answer.headers:
        return {"UPLOAD": answer.headers["Location"]}
    job = str(answer.json().get("id", ""))
    metadata = {"job": job, "filename": "cat.jpg"}
    pairs = (
        f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in metadata.items()
    )
    return {"SAID": ",".join(pairs)} if job else {}


def _accepted(body: dict[str, Any], admin: Client) -> dict[str, str]:
    """Wait until what was accepted is done; return what later examples call it."""
    if "items" in body:
        admin.finished(body["job"])
        return {"JOB": body["job"], "IMAGE": str(body["items"][0]["id"])}
    if "pipeline" in body:
        wait_until(
            lambda: admin.get(f"/indexes/{body['id']}/").json()["state"] == "ready",
            "the index is not built",
        )
        siblings = admin.get(f"/datasets/{body['dataset']}/indexes/").json()["results"]
        (active,) = [one["id"] for one in siblings if one["state"] == "active"]
        return {"INDEX": str(body["id"]), "ACTIVE": str(active)}
    return {"AUDIT": str(body["id"])} if "deep" in body else {}


def _promised(heading: str) -> int:
    """The status that the section below `heading` promises in bold."""
    section = PAGE.read_text().split(f" {heading}\n", 1)[1].split("\n#", 1)[0]
    promised = re.search(r"\*\*(\d{3})\*\*", section)
    if promised is None:
        promised = re.search(r'"status": (\d{3})|answers (200)', section)
    assert promised is not None, heading
    return int(next(group for group in promised.groups() if group))


def test_the_fields_of_a_search_are_documented() -> None:
    documented = {code(row["field"]) for _, rows in tables(PAGE) for row in rows if "field" in row}
    assert documented == set(SearchSerializer().fields)


def test_the_defaults_of_a_search_are_as_documented() -> None:
    top_k = SearchSerializer().fields["top_k"]
    assert isinstance(top_k, IntegerField)
    rows = {
        code(row["field"]): row
        for _, rows in tables(PAGE)
        for row in rows
        if {"field", "default"} <= set(row)
    }
    assert rows["top_k"]["default"] == str(top_k.default)
    assert f"{top_k.min_value} to {top_k.max_value}" in rows["top_k"][""]


def test_states_and_scopes_are_documented() -> None:
    columns = {
        name: [code(row[name]) for row in rows] for _, rows in tables(PAGE) for name in rows[0]
    }
    assert columns["scope"] == list(Scope.values)
    assert columns["state of an image"] == list(ImageState.values)
    items = set(ItemState.values) - set(ImageState.values)
    assert set(columns["state of an item"]) == items
    assert columns["state of a job"] == list(JobState.values)


def test_the_first_search_of_the_readme_works(installation: Installation) -> None:
    variables = {"SITE": installation.url, "KEY": installation.key("write")}
    ran = [
        carry_out(command.replace("http://127.0.0.1:8000", installation.url), variables)
        for block in blocks(README)
        for command in commands(block.text)
    ]
    assert ran
    for answer in ran:
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"]


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: page.name)
def test_a_key_is_made_as_documented(installation: Installation, page: Path) -> None:
    (command,) = set(
        re.findall(r"manage\.py (create_api_key \w+ --user admin --scope \w+)", PAGE.read_text())
    )
    completed = installation.manage(*command.split())
    assert completed.stdout.startswith("lk_")


def test_paging_is_as_documented(admin: Client) -> None:
    assert "`page_size` is 50 unless given, 200 at most; anything else is refused" in prose(PAGE)
    page = admin.get("/datasets/demo/images/").json()
    assert len(page["results"]) == 50
    most = admin.get("/datasets/demo/images/?page_size=200").json()
    assert len(most["results"]) == 200
    rest = admin.session.get(most["next"], timeout=60).json()
    assert len(rest["results"]) == 28
    assert rest["next"] is None
    back = admin.session.get(rest["previous"], timeout=60).json()
    assert back["results"] == most["results"]
