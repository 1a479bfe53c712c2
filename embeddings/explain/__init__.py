"""Why two pictures match: `from embeddings.explain import match, judge, Kind`.

What is compared is made by `embeddings.explain.local_features.local_features`, which is not
exported here: a function and a module of one name would hide each other. Importing this package
is cheap: OpenCV is loaded when features are made or compared.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.explain.kinds import Edit, Kind, Verdict, judge
    from embeddings.explain.local_features import LocalFeatures
    from embeddings.explain.matching import Geometry, match

__all__ = [
    "Edit",
    "Geometry",
    "Kind",
    "LocalFeatures",
    "Verdict",
    "judge",
    "match",
]

_EXPORTS = {
    "Edit": "kinds",
    "Geometry": "matching",
    "Kind": "kinds",
    "LocalFeatures": "local_features",
    "Verdict": "kinds",
    "judge": "kinds",
    "match": "matching",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
