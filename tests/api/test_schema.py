"""Schema, documentation, health."""

from __future__ import annotations

from typing import Any

import requests
import schemathesis
import yaml

from harness.installation import Client, Installation


def test_schema_and_documentation_need_no_key(installation: Installation) -> None:
    schema = requests.get(f"{installation.url}/api/schema/", timeout=30)
    assert schema.status_code == 200
    paths = yaml.safe_load(schema.text)["paths"]
    assert {
        "/api/v1/datasets/", "/api/v1/datasets/{slug}/", "/api/v1/datasets/{slug}/images/",
        "/api/v1/images/{id}/", "/api/v1/jobs/{id}/", "/api/v1/search/",
    } <= set(paths)  # fmt: skip
    page = requests.get(f"{installation.url}/api/docs/", timeout=30)
    assert page.status_code == 200
    assert "swagger" in page.text.lower()


def test_real_answers_are_as_the_schema_says(
    installation: Installation, admin: Client, dataset: str, giraffe: bytes
) -> None:
    """Of searches and comparisons, whose answers are written by hand, and of what workers made."""
    schema: Any = schemathesis.openapi.from_url(f"{installation.url}/api/schema/")

    def check(answer: requests.Response, method: str, path: str) -> None:
        assert answer.status_code == 200
        schema[f"/api/v1{path}"][method].validate_response(answer)

    job = admin.upload(dataset, ("giraffe.jpg", giraffe))["job"]
    image = admin.finished(job)["items"][0]["id"]
    check(admin.get(f"/jobs/{job}/"), "get", "/jobs/{id}/")
    check(admin.get(f"/images/{image}/"), "get", "/images/{id}/")
    check(admin.get(f"/datasets/{dataset}/indexes/"), "get", "/datasets/{slug}/indexes/")
    check(admin.get("/pipelines/"), "get", "/pipelines/")
    check(admin.get("/facets/"), "get", "/facets/")
    searched = admin.post("/search/", files={"image": giraffe}, data={"box": "0.1,0.1,0.8,0.8"})
    check(searched, "post", "/search/")
    check(admin.post("/search/", json={"image_id": image, "dataset": "demo"}), "post", "/search/")
    both = {"image_id": image, "with_query": searched.json()["query"]["id"]}
    check(admin.post("/compare/", json=both), "post", "/compare/")


def test_alive_and_ready(installation: Installation) -> None:
    assert requests.get(f"{installation.url}/healthz", timeout=30).status_code == 200
    body = requests.get(f"{installation.url}/readyz", timeout=30).json()
    assert body.pop("demo") == {"ready": 228, "total": 228}
    assert body.pop("status") == "ready"
    parts = ("database", "redis", "milvus", "query", "ingest")
    assert body == {part: {"state": "ok"} for part in parts}


def test_unknown_addresses_are_problems_too(anyone: Client) -> None:
    missing = anyone.get("/nothing/")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert missing.headers["Content-Type"] == "application/problem+json"
    wrong = anyone.delete("/search/")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


def test_headers_of_clients_change_neither_address_nor_scheme(installation: Installation) -> None:
    """What a proxy in front would say is believed where `LOOKALIKE_PROXY_HEADERS` says so."""
    plain = requests.get(f"{installation.url}/datasets/", timeout=30)
    for name, value in (
        ("Script_Name", "/evil"), ("Script_Name", "/admin"), ("Script-Name", "/evil"),
        ("Path_Info", "/admin/"), ("X-Forwarded-Prefix", "/evil"), ("X-Script-Name", "/evil"),
        ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https"),
    ):  # fmt: skip
        answer = requests.get(f"{installation.url}/datasets/", headers={name: value}, timeout=30)
        assert answer.status_code == 200, name
        assert answer.headers["Content-Security-Policy"] == plain.headers["Content-Security-Policy"]
        assert answer.text.count("href=") == plain.text.count("href=")
        assert "evil" not in answer.text
    listed = requests.get(
        f"{installation.url}/api/v1/datasets/demo/images/?page_size=1",
        headers={"X-Forwarded-Proto": "https"}, timeout=30,
    ).json()  # fmt: skip
    assert listed["next"].startswith(installation.url)


def test_a_session_needs_the_csrf_token(installation: Installation) -> None:
    browser = requests.Session()
    page = browser.get(f"{installation.url}/login/", timeout=30)
    token = browser.cookies["csrftoken"]
    signed_in = browser.post(
        f"{installation.url}/login/",
        data={"username": "admin", "password": installation.admin_password,
              "csrfmiddlewaretoken": token},
        headers={"Referer": page.url}, timeout=30,
    )  # fmt: skip
    assert signed_in.ok
    assert "sessionid" in browser.cookies
    address = f"{installation.url}/api/v1/datasets/"
    refused = browser.post(address, json={"name": "forged"}, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    headers = {"X-CSRFToken": browser.cookies["csrftoken"]}
    response = browser.post(address, json={"name": "by session"}, headers=headers, timeout=30)
    assert response.status_code == 201
