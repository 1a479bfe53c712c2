"""Stored query pictures: kept for a limited time under an unguessable token."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, BinaryIO

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone

from searchapp.infra import storage
from searchapp.infra.content_locks import lock_contents
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import Query
from searchapp.models.query import new_token
from searchapp.services import query_rpc
from searchapp.services.errors import BadPicture, Gone
from searchapp.services.operations.cleanup import query_life

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def ask_upload(upload: HashedUpload, user: User | AnonymousUser) -> Query:
    """Store an uploaded query picture.

    Raises `BadPicture` (`empty_file`, `file_too_large`) when the upload was refused.
    """
    return keep(upload, user.pk)


def keep_fetched(upload: HashedUpload, url: str, token: str, user_id: int | None) -> Query:
    """Store a query picture that a worker has fetched from `url`."""
    return keep(upload, user_id, url=url[:2000], token=token)


def refuse(upload: HashedUpload) -> None:
    """Raises `BadPicture` when the upload was too large or empty."""
    if upload.refusal is not None:
        code, detail = upload.refusal
        raise BadPicture(code, detail)


def keep(upload: HashedUpload, user_id: int | None, *, url: str = "", token: str = "") -> Query:
    """Store an uploaded picture and create its row in one transaction."""
    refuse(upload)
    with transaction.atomic():
        lock_contents([upload.sha256])
        storage.put_query(upload)
        return Query.objects.create(
            token=token or new_token(),
            sha256=upload.sha256,
            name=upload.name or "",
            url=url,
            user_id=user_id,
            expires=timezone.now() + query_life(),
        )


def find_query(token: str) -> Query:
    """Return a stored query. Raises `Gone` (`query_gone`) when it has expired."""
    query = Query.objects.filter(token=token, expires__gt=timezone.now()).first()
    if query is None:
        hours = settings.QUERY_KEEP_HOURS
        raise Gone(
            "query_gone",
            f"This search is gone: query pictures are kept for {hours} hours. "
            "Search again with the picture.",
        )
    return query


def query_thumbnail(query: Query) -> BinaryIO | None:
    """Open the 512-pixel WebP of a query picture; a worker creates it on first use.

    Raises `ServiceError` when no worker creates it in time.
    """
    with contextlib.suppress(FileNotFoundError):
        return storage.open_query_thumbnail(query.sha256)
    query_rpc.ask_thumbnail(query.sha256)
    with contextlib.suppress(FileNotFoundError):
        return storage.open_query_thumbnail(query.sha256)
    return None
