"""Import of timm when torch and torchvision were built for different devices.

With a CPU build of torch and a CUDA build of torchvision, `import torchvision`, and so
`import timm`, fails with "operator torchvision::nms does not exist": torchvision's compiled
operators were not loaded, but its Python side registers shapes for them. These operators are
never called here, so it is enough to define their schemas. They are defined only after a plain
import has failed, so that matching builds keep their native operators.
"""

import importlib
import sys
import threading
from types import ModuleType
from typing import Any

_MISSING = "operator torchvision::"
_SCHEMAS = tuple(
    f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
)
_lock = threading.Lock()
_library: Any = None  # keeps the definitions alive


def _forget(package: str) -> None:
    """Drop a partially imported package, so that the next import starts over."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def _define_schemas() -> None:
    global _library
    import torch

    library: Any = torch.library.Library(  # type: ignore[no-untyped-call]
        "torchvision", "DEF"
    )
    for schema in _SCHEMAS:
        library.define(schema)
    _library = library


def timm() -> ModuleType:
    """Return the timm module. Raises whatever its import raises when the shim does not help."""
    with _lock:
        try:
            return importlib.import_module("timm")
        except RuntimeError as error:
            if _library is not None or _MISSING not in str(error):
                raise
            _forget("torchvision")
            _forget("timm")
            _define_schemas()
            return importlib.import_module("timm")
