"""The application's tables, one file a family."""

from searchapp.models.choices import (
    PENDING_STATES,
    ImageState,
    IndexState,
    Scope,
    Source,
    Visibility,
)
from searchapp.models.dataset import Dataset, Index, VectorCleanup
from searchapp.models.image import Image
from searchapp.models.jobs import ImportItem, ImportJob
from searchapp.models.keys import ApiKey, key_digest
from searchapp.models.query import Query

__all__ = [
    "PENDING_STATES",
    "ApiKey",
    "Dataset",
    "Image",
    "ImageState",
    "ImportItem",
    "ImportJob",
    "Index",
    "IndexState",
    "Query",
    "Scope",
    "Source",
    "VectorCleanup",
    "Visibility",
    "key_digest",
]
