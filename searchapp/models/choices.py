"""The states and kinds that rows can have."""

from django.db import models


class Visibility(models.TextChoices):
    PUBLIC = "public", "Public: anyone may look and search"
    PRIVATE = "private", "Private: only its owner"


class ImageState(models.TextChoices):
    RECEIVED = "received", "received"  # committed, waits for a worker
    PROCESSING = "processing", "processing"  # claimed by a worker until its lease ends
    READY = "ready", "ready"  # search finds it
    REJECTED = "rejected", "rejected"  # the file is bad; trying again would not help
    FAILED = "failed", "failed"  # we could not; trying again may help


PENDING_STATES = (ImageState.RECEIVED, ImageState.PROCESSING)


class IndexState(models.TextChoices):
    BUILDING = "building", "building"
    READY = "ready", "ready"
    ACTIVE = "active", "active"
    RETIRED = "retired", "retired"
    FAILED = "failed", "failed"


class Source(models.TextChoices):
    UPLOAD = "upload", "upload"
    URL = "url", "address"
    DEMO = "demo", "demo gallery"


class Scope(models.TextChoices):
    READ = "read", "read"
    WRITE = "write", "write (includes read)"
    ADMIN = "admin", "admin (includes write)"
