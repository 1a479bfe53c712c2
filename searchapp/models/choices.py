"""Choices of model fields: states, kinds and roles."""

from django.db import models


class Visibility(models.TextChoices):
    PUBLIC = "public", "Public: anyone may look and search"
    PRIVATE = "private", "Private: only its members"


class Role(models.TextChoices):
    """What a member of a dataset may do; each role includes those before it."""

    VIEWER = "viewer", "viewer: look and search"
    EDITOR = "editor", "editor: add, change and delete pictures too"
    OWNER = "owner", "owner: settings, members and indexes too"


class ImageState(models.TextChoices):
    RECEIVED = "received", "received"  # committed, waiting for a worker
    PROCESSING = "processing", "processing"  # claimed by a worker until its lease ends
    READY = "ready", "ready"  # included in searches
    REJECTED = "rejected", "rejected"  # the file is invalid; a retry would not help
    FAILED = "failed", "failed"  # an error on our side; a retry may help
    DELETED = "deleted", "deleted"  # hidden; can be restored for a day


PENDING_STATES = (ImageState.RECEIVED, ImageState.PROCESSING)


class FeatureState(models.IntegerChoices):
    """The state of an image's local features while none are stored.

    When some are stored, the column has their version instead, which is above 0.
    """

    NONE = 0, "not yet computed"
    CANNOT = -1, "cannot be computed"
    CLAIMED = -2, "with a worker"
    ALONE = -3, "to be taken by itself: a worker died over a batch with it"
    CLAIMED_ALONE = -4, "by itself with a worker"


class ItemState(models.TextChoices):
    """The state of one file of an import. Once it has an image, it follows the image's state."""

    WAITING = "waiting", "waiting"  # listed, but not read from its source yet
    RECEIVED = "received", "received"
    PROCESSING = "processing", "processing"
    READY = "ready", "ready"
    REJECTED = "rejected", "rejected"
    FAILED = "failed", "failed"
    CHECKED = "checked", "would be added"  # in a dry run
    CANCELLED = "cancelled", "cancelled"


PENDING_ITEMS = (ItemState.WAITING, ItemState.RECEIVED, ItemState.PROCESSING)


class JobState(models.TextChoices):
    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    PAUSED = "paused", "paused"
    CANCELLED = "cancelled", "cancelled"
    FINISHED = "finished", "finished"
    FINISHED_WITH_ERRORS = "finished_with_errors", "finished, with errors"


ACTIVE_JOBS = (JobState.QUEUED, JobState.RUNNING)
ENDED_JOBS = (JobState.CANCELLED, JobState.FINISHED, JobState.FINISHED_WITH_ERRORS)


class SourceKind(models.TextChoices):
    """Where an import's files come from."""

    UPLOAD = "upload", "uploaded files"
    ARCHIVE = "archive", "archive"
    FOLDER = "folder", "folder of the server"
    MANIFEST = "manifest", "manifest"
    BUCKET = "bucket", "bucket"
    COCO = "coco", "boxes (COCO)"
    DATASET = "dataset", "another dataset"


class OnDuplicate(models.TextChoices):
    """What an import does with bytes that the dataset has already."""

    SKIP = "skip", "skip: leave the picture that is there as it is"
    LINK = "link", "link: give its label, tags and metadata to the picture that is there"
    COPY = "copy", "copy: keep it as a picture of its own"


class IndexState(models.TextChoices):
    BUILDING = "building", "building"  # being filled by workers
    READY = "ready", "ready"  # complete and kept up to date; can be activated
    ACTIVE = "active", "active"  # used by searches
    RETIRED = "retired", "retired"  # its vectors have been deleted
    FAILED = "failed", "failed"


# Indexes to which new images are added.
LIVE_INDEXES = (IndexState.ACTIVE, IndexState.READY, IndexState.BUILDING)


class Source(models.TextChoices):
    UPLOAD = "upload", "upload"
    URL = "url", "address"
    DEMO = "demo", "demo gallery"
    IMPORT = "import", "import"
    COPY = "copy", "another dataset"


class Scope(models.TextChoices):
    READ = "read", "read"
    WRITE = "write", "write (includes read)"
    ADMIN = "admin", "admin (includes write)"
