"""Why two pictures match: `from embeddings.explain import local_features, match, judge`.

Importing this package is cheap: OpenCV is loaded when features are made or compared, and neither
`Kind` nor `Edit` needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.explain.kinds import Edit, Kind, Verdict, judge
    from embeddings.explain.local_features import VERSION, LocalFeatures, local_features
    from embeddings.explain.matching import Geometry, match

__all__ = [
    "VERSION",
    "Edit",
    "Geometry",
    "Kind",
    "LocalFeatures",
    "Verdict",
    "judge",
    "local_features",
    "match",
]

_EXPORTS = {
    "VERSION": "local_features",
    "Edit": "kinds",
    "Geometry": "matching",
    "Kind": "kinds",
    "LocalFeatures": "local_features",
    "Verdict": "kinds",
    "judge": "kinds",
    "local_features": "local_features",
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
