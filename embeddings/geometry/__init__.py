"""Geometric verification of image matches: `from embeddings.geometry import match, judge, Kind`.

The features to compare come from `embeddings.geometry.local_features.local_features`, which is
not exported here because the function and its module have the same name. Importing this package
is cheap: OpenCV is loaded when features are extracted or compared.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.geometry.feature_matching import Geometry, match
    from embeddings.geometry.kinds import Edit, Kind, Verdict
    from embeddings.geometry.local_features import LocalFeatures
    from embeddings.geometry.verdicts import judge

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
    "Geometry": "feature_matching",
    "Kind": "kinds",
    "LocalFeatures": "local_features",
    "Verdict": "kinds",
    "judge": "verdicts",
    "match": "feature_matching",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
