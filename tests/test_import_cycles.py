"""The rule of `tests.import_cycles`, on packages made for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.import_cycles import cycles, packages


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package `shop` on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").touch()
    return folder


def _write(package: Path, **modules: str) -> list[list[str]]:
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    return list(cycles(packages(package.parent)))


def test_modules_that_import_one_way(package: Path) -> None:
    assert not _write(package, cart="from shop import prices, taxes", prices="import shop.taxes")


@pytest.mark.parametrize(
    "back",
    [
        "from shop import cart",
        "def total():\n    from shop.cart import Cart",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.cart import Cart",
    ],
)
def test_every_import_counts(package: Path, back: str) -> None:
    (cycle,) = _write(package, cart="import shop.prices", prices="import shop.taxes", taxes=back)
    assert len(cycle) == 3
    assert "shop.cart imports shop.prices (line 1)" in cycle


def test_each_cycle_is_told(package: Path) -> None:
    modules = {"cart": "import shop.prices\nimport shop.taxes", "taxes": "import shop.cart"}
    assert len(_write(package, **modules, prices="import shop.cart")) == 2


def test_names_that_a_package_looks_up_by_text_are_no_imports(package: Path) -> None:
    lazy = "def __getattr__(name):\n    return getattr(importlib.import_module('shop.cart'), name)"
    assert not _write(package, __init__=f"import importlib\n{lazy}", cart="from shop import Cart")
