"""Below a path of a proxy, behind TLS: pages, files, redirects, uploads and the API's addresses."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests
import trustme

from harness.installation import Installation, free_port, running, wait_until
from harness.nginx import find_nginx

PREFIX = "/pictures"
CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; client_max_body_size 0; proxy_request_buffering off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-For $remote_addr;
  server {{ listen 127.0.0.1:{passes_on} ssl; location {prefix}/ {{ proxy_pass {site}; }} }}
  server {{ listen 127.0.0.1:{cuts_off} ssl; location {prefix}/ {{ proxy_pass {site}/; }} }}
}}
"""
Visitor = tuple[requests.Session, str]  # a browser's session, and the address of the site


@pytest.fixture(scope="module")
def behind() -> Iterator[Installation]:
    variables = {"LOOKALIKE_PREFIX": PREFIX, "LOOKALIKE_PROXY_HEADERS": "1", "LOOKALIKE_HTTPS": "1"}
    with running(**variables, LOOKALIKE_RUNTIME="openvino") as application:
        application.wait_demo()
        yield application


@pytest.fixture(scope="module")
def proxies(
    behind: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], str]]:
    """The addresses of two proxies, one of which cuts the prefix off, and their authority."""
    folder = tmp_path_factory.mktemp("nginx")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    ports = {"passes it on": free_port(), "cuts it off": free_port()}
    text = CONFIGURATION.format(
        folder=folder, prefix=PREFIX, site=behind.url,
        passes_on=ports["passes it on"], cuts_off=ports["cuts it off"],
    )  # fmt: skip
    (folder / "nginx.conf").write_text(text)
    nginx = find_nginx()
    assert nginx is not None
    trusted = str(folder / "authority.pem")
    sites = {name: f"https://127.0.0.1:{port}" for name, port in ports.items()}
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:

        def answers() -> bool:
            try:
                where = f"{sites['cuts it off']}{PREFIX}/healthz"
                return requests.get(where, verify=trusted, timeout=5).ok
            except requests.ConnectionError:
                return False

        wait_until(answers, "nginx does not answer", 20)
        yield sites, trusted
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=["passes it on", "cuts it off"])
def visitor(
    request: pytest.FixtureRequest, proxies: tuple[dict[str, str], str]
) -> Iterator[Visitor]:
    sites, trusted = proxies
    with requests.Session() as session:
        session.verify, session.trust_env = trusted, False
        yield session, f"{sites[request.param]}{PREFIX}"


def links(page: str) -> set[str]:
    """The addresses of a page within its site."""
    found = re.findall(r'(?:href|src|action)="([^"#]+)"', page)
    return {address for address in found if not address.startswith(("http", "data:", "?"))}


def test_pages_lead_to_pages_and_files_below_the_prefix(visitor: Visitor) -> None:
    session, site = visitor
    for path in ("/", "/datasets/", "/datasets/demo/", "/images/3/", "/login/", "/nothing/"):
        answer = session.get(f"{site}{path}", timeout=30)
        assert answer.status_code == (404 if path == "/nothing/" else 200)
        addresses = links(answer.text)
        assert addresses
        assert [one for one in addresses if not one.startswith(f"{PREFIX}/")] == []
    home = session.get(f"{site}/", timeout=30)
    for address in links(home.text):
        if "/static/" in address or "/media/" in address:
            assert session.get(urljoin(site, address), timeout=30).status_code == 200, address
    docs = session.get(f"{site}/api/docs/", timeout=30)
    assert "unsafe-inline" in docs.headers["Content-Security-Policy"]
    assert f"url: {PREFIX}" in session.get(f"{site}/api/schema/", timeout=30).text


def test_signing_in_stays_below_the_prefix(visitor: Visitor, behind: Installation) -> None:
    session, site = visitor
    refused = session.get(f"{site}/jobs/", timeout=30, allow_redirects=False)
    assert urlsplit(refused.headers["Location"]).path == f"{PREFIX}/login/"
    page = session.get(f"{site}/jobs/", timeout=30)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None
    data = {
        "username": "admin", "password": behind.admin_password, "csrfmiddlewaretoken": token[1],
    }  # fmt: skip
    signed_in = session.post(
        page.url, data=data, headers={"Referer": page.url}, timeout=30, allow_redirects=False
    )
    assert (signed_in.status_code, signed_in.headers["Location"]) == (302, f"{PREFIX}/jobs/")
    assert {cookie.path for cookie in session.cookies} == {f"{PREFIX}/"}
    assert session.get(f"{site}/jobs/", timeout=30).url == f"{site}/jobs/"
    assert session.get(f"{site}/admin/", timeout=30).status_code == 200


def test_the_api_names_addresses_that_lead_back(
    visitor: Visitor, behind: Installation, demo_files: list[Path]
) -> None:
    session, site = visitor
    session.headers["Authorization"] = f"Bearer {behind.key('write')}"
    listed = session.get(f"{site}/api/v1/datasets/demo/images/?page_size=1", timeout=30).json()
    assert listed["next"].startswith(f"{site}/api/v1/")
    assert session.get(listed["next"], timeout=30).status_code == 200
    giraffe = next(path for path in demo_files if path.name == "erase-giraffe.jpg").read_bytes()
    answer = session.post(f"{site}/api/v1/search/", files={"image": giraffe}, timeout=60).json()
    found = answer["results"][0]["image"]
    for address in (answer["query"]["page_url"], found["url"], found["thumbnail_url"]):
        assert address.startswith(f"{site}/")
        assert session.get(address, timeout=60).status_code == 200


def test_resumable_uploads_go_on_where_the_answer_says(
    visitor: Visitor, behind: Installation
) -> None:
    session, site = visitor
    session.headers["Authorization"] = f"Bearer {behind.key('write')}"
    made = session.post(f"{site}/api/v1/datasets/", json={"name": "Resumed"}, timeout=30)
    imports = f"{site}/api/v1/datasets/{made.json()['slug']}/imports/"
    job = session.post(imports, json={"open": True}, timeout=30).json()["id"]
    said = {"job": job, "filename": "a.png"}
    pairs = (f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in said.items())
    headers = {
        "Tus-Resumable": "1.0.0", "Upload-Length": "3", "Upload-Metadata": ",".join(pairs),
    }  # fmt: skip
    begun = session.post(f"{site}/api/v1/uploads/", headers=headers, timeout=30)
    assert begun.headers["Location"].startswith(f"{site}/api/v1/uploads/")
    headers = {
        "Tus-Resumable": "1.0.0", "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
    }  # fmt: skip
    sent = session.patch(begun.headers["Location"], data=b"abc", headers=headers, timeout=30)
    assert (sent.status_code, sent.headers["Upload-Offset"]) == (204, "3")
