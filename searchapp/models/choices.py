"""States, kinds and roles of rows."""

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
    RECEIVED = "received", "received"  # committed, waits for a worker
    PROCESSING = "processing", "processing"  # claimed by a worker until its lease ends
    READY = "ready", "ready"  # search finds it
    REJECTED = "rejected", "rejected"  # the file is bad; trying again would not help
    FAILED = "failed", "failed"  # we could not; trying again may help
    DELETED = "deleted", "deleted"  # nobody sees it; for a day it can be brought back


PENDING_STATES = (ImageState.RECEIVED, ImageState.PROCESSING)


class FeatureState(models.IntegerChoices):
    """How far an image's local features are, where none are stored; else the column holds the
    version of those that are, above 0."""

    NONE = 0, "not yet computed"
    CANNOT = -1, "cannot be computed"
    CLAIMED = -2, "with a worker"
    ALONE = -3, "to be taken by itself: a worker died over a batch with it"
    CLAIMED_ALONE = -4, "by itself with a worker"


class ItemState(models.TextChoices):
    """What became of one file of an import. Once it has an image, its state follows the image's."""

    WAITING = "waiting", "waiting"  # listed; its bytes are still where they come from
    RECEIVED = "received", "received"
    PROCESSING = "processing", "processing"
    READY = "ready", "ready"
    REJECTED = "rejected", "rejected"
    FAILED = "failed", "failed"
    CHECKED = "checked", "would be added"  # of a dry run
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
    BUILDING = "building", "building"  # workers fill it
    READY = "ready", "ready"  # whole, and kept up to date; could be activated
    ACTIVE = "active", "active"  # searches use it
    RETIRED = "retired", "retired"  # its vectors are gone
    FAILED = "failed", "failed"


# Those that new images go into.
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
