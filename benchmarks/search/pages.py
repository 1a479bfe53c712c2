"""Benchmark of page times: pages of a large dataset beside those of a small one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import requests

from benchmarks.installation.processes import place, rest
from benchmarks.options import Options
from benchmarks.report import Findings, Table, aim, percentile
from harness.installation import ROOT, Installation

AIM_MS = 200.0
SMALL = 1_000
_TIMES = 40
_WARM_UP = 3


def run(options: Options) -> Findings:
    """Request the same pages of both datasets alternately."""
    with place() as installation:
        addresses = {
            number: _addresses(installation, f"rows-{number}", number)
            for number in (SMALL, options.rows)
        }
        rest(installation)
        session = _signed_in(installation)
        durations: dict[tuple[int, str], list[float]] = {}
        for turn in range(_WARM_UP + _TIMES):
            for number, pages in addresses.items():
                for name, address in pages.items():
                    milliseconds = _ask(session, installation.url + address)
                    if turn >= _WARM_UP:
                        durations.setdefault((number, name), []).append(milliseconds)
    rows, worst = [], 0.0
    for name in addresses[SMALL]:
        small, large = durations[SMALL, name], durations[options.rows, name]
        slowest = percentile(large, 95)
        worst = max(worst, slowest)
        rows.append(
            [
                name,
                *(f"{percentile(large, percent):.0f}" for percent in (50, 95)),
                f"{percentile(small, 95):.0f}",
                f"{slowest / percentile(small, 95):.2f}",
            ]
        )
    return [
        f"{_TIMES} requests for each page over one kept connection, signed in as the administrator,"
        f" with {options.rows:,} images in one dataset and as many rows in one ledger (2 % of them "
        f"bad), and {2 * 400:,} other jobs; beside it the same pages of a dataset of {SMALL:,}, in "
        "turns. HTML as a browser gets it, without the pictures.",
        Table(["milliseconds", "p50", "p95", f"p95 at {SMALL:,}", "ratio"], rows),
        f"The slowest p95 is **{worst:.0f} ms** "
        f"{aim(worst <= AIM_MS, f'at most {AIM_MS:.0f} ms')}.",
    ]


def _addresses(installation: Installation, slug: str, number: int) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.installation.fill_rows", slug, str(number)],
        cwd=ROOT,
        env=installation.environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    gallery, job = f"/datasets/{slug}/", f"/jobs/{result['job']}/"
    return {
        "gallery": gallery,
        "gallery, in the middle": f"{gallery}?before={result['middle']}",
        "gallery, rejected pictures": f"{gallery}?state=rejected",
        "import page": f"{gallery}import/",
        "index page": f"{gallery}indexes/",
        "jobs": "/jobs/",
        "job and its ledger": job,
        "ledger, failed files": f"{job}?state=failed",
        "API: images": f"/api/v1{gallery}images/",
        "API: items of a job": f"/api/v1{job}items/",
        "admin: images": "/admin/searchapp/image/",
        "admin: start page": "/admin/",
    }


def _signed_in(installation: Installation) -> requests.Session:
    session = requests.Session()
    page = session.get(f"{installation.url}/login/", timeout=60).text
    match = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    if match is None:
        raise RuntimeError("the page for signing in has no form")
    form = {
        "username": "admin",
        "password": installation.admin_password,
        "csrfmiddlewaretoken": match.group(1),
    }
    session.post(f"{installation.url}/login/", data=form, timeout=60).raise_for_status()
    return session


def _ask(session: requests.Session, url: str) -> float:
    started = time.perf_counter()
    answer = session.get(url, timeout=60)
    milliseconds = (time.perf_counter() - started) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{url} was answered with {answer.status_code}")
    return milliseconds
