"""The cure for a torchvision that was built for another device, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.installation import ROOT

# Stand-ins that fail just as the real ones do while torch does not know torchvision::nms.
TORCHVISION = """
import torch
try:
    torch.ops.torchvision.nms.default
except AttributeError:
    raise RuntimeError("operator torchvision::nms does not exist")
"""
TIMM = "import torchvision\nVERSION = 'stand-in'\n"

NATIVE = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""

IMPORT = """
from embeddings.models import timm_import
from embeddings.models.timm_import import timm
first = timm()
assert timm() is first
print(getattr(first, "VERSION", "real"), timm_import._library is not None)
"""


def _run(code: str, folder: Path | None = None) -> str:
    path = f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n"
    if folder is not None:
        path += f"sys.path[:0] = [{str(folder)!r}]\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    (tmp_path / "torchvision.py").write_text(TORCHVISION)
    (tmp_path / "timm.py").write_text(TIMM)
    return tmp_path


@pytest.mark.slow
def test_the_missing_operators_are_defined(stand_ins: Path) -> None:
    assert (
        _run("import timm", stand_ins) == "RuntimeError: operator torchvision::nms does not exist"
    )
    assert _run(IMPORT, stand_ins) == "stand-in True"


@pytest.mark.slow
def test_native_operators_are_left_alone(stand_ins: Path) -> None:
    assert _run(NATIVE + IMPORT, stand_ins) == "stand-in False"


def test_other_failures_are_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("raise RuntimeError('something else')")
    assert _run(IMPORT, tmp_path) == "RuntimeError: something else"


@pytest.mark.slow
def test_the_installed_timm_imports() -> None:
    """Whichever of the two this machine has: the shim is there exactly if it is needed."""
    plain = _run("import timm; print('fine')")
    assert _run(IMPORT) == f"real {plain != 'fine'}"
