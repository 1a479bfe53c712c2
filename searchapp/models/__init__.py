"""The models of the application, one module for each table or group of tables."""

from searchapp.models.api_key import ApiKey, key_digest
from searchapp.models.audit_report import AuditReport
from searchapp.models.calibration import Calibration
from searchapp.models.choices import (
    ACTIVE_JOBS,
    ENDED_JOBS,
    LIVE_INDEXES,
    PENDING_ITEMS,
    PENDING_STATES,
    FeatureState,
    ImageState,
    IndexState,
    ItemState,
    JobState,
    OnDuplicate,
    Role,
    Scope,
    Source,
    SourceKind,
    Visibility,
)
from searchapp.models.dataset import Dataset, FormerSlug, Membership
from searchapp.models.failed_task import FailedTask
from searchapp.models.image import Image
from searchapp.models.image_edit import ImageEdit
from searchapp.models.import_job import MOVED, ImportItem, ImportJob, ImportSource
from searchapp.models.index import Index, IndexChunk, IndexGap
from searchapp.models.partial_upload import PartialUpload
from searchapp.models.query import Query
from searchapp.models.scalars import DatasetFacets, StaleScalars
from searchapp.models.vector_cleanup import VectorCleanup

__all__ = [
    "ACTIVE_JOBS",
    "ENDED_JOBS",
    "LIVE_INDEXES",
    "MOVED",
    "PENDING_ITEMS",
    "PENDING_STATES",
    "ApiKey",
    "AuditReport",
    "Calibration",
    "Dataset",
    "DatasetFacets",
    "FailedTask",
    "FeatureState",
    "FormerSlug",
    "Image",
    "ImageEdit",
    "ImageState",
    "ImportItem",
    "ImportJob",
    "ImportSource",
    "Index",
    "IndexChunk",
    "IndexGap",
    "IndexState",
    "ItemState",
    "JobState",
    "Membership",
    "OnDuplicate",
    "PartialUpload",
    "Query",
    "Role",
    "Scope",
    "Source",
    "SourceKind",
    "StaleScalars",
    "VectorCleanup",
    "Visibility",
    "key_digest",
]
