"""Stored query pictures: kept for a limited time under an unguessable token."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, BinaryIO

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from searchapp.infra import storage
from searchapp.infra.content_locks import lock_contents
from searchapp.infra.upload_handler import HashedUpload
from searchapp.models import Query
from searchapp.models.query import new_token
from searchapp.services import query_rpc
from searchapp.services.errors import BadPicture, Gone, ServiceError
from searchapp.services.imports.creation import full_disks
from searchapp.services.operations import cleanup

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# One client may have this part of what query pictures may have together.
_CLIENTS = 10


def ask_upload(upload: HashedUpload, user: User | AnonymousUser, client: str) -> Query:
    """Store an uploaded query picture, once a worker has decoded it and made its thumbnail.

    Raises `BadPicture` when the upload was refused or is no picture that can be used, and
    `ServiceError` when no worker says so in time; then nothing is kept.
    """
    refuse(upload)
    token = new_token()
    try:
        with full_disks():
            storage.put_query(upload)
        query_rpc.ask_thumbnail(upload.sha256)
        return keep(upload, user.pk, client, token=token)
    except ServiceError:
        cleanup.discard_query(token, upload.sha256)  # its token was never returned
        raise


def keep_fetched(
    upload: HashedUpload, url: str, token: str, user_id: int | None, client: str
) -> Query:
    """Store a query picture that a worker has fetched from `url`."""
    return keep(upload, user_id, client, url=url[:2000], token=token)


def refuse(upload: HashedUpload) -> None:
    """Raises `BadPicture` when the upload was too large or empty."""
    if upload.refusal is not None:
        code, detail = upload.refusal
        raise BadPicture(code, detail)


def keep(
    upload: HashedUpload, user_id: int | None, client: str, *, url: str = "", token: str = ""
) -> Query:
    """Store an uploaded picture and create its row in one transaction. The oldest pictures go where
    `client`, or all together, would have too much."""
    refuse(upload)
    with full_disks(), transaction.atomic():
        lock_contents([upload.sha256])
        storage.put_query(upload)
        query = Query.objects.create(
            token=token or new_token(),
            sha256=upload.sha256,
            name=upload.name or "",
            url=url,
            user_id=user_id,
            client=client,
            bytes=upload.size or 0,
            expires=timezone.now() + cleanup.query_life(),
        )
    most = settings.MAX_QUERY_BYTES
    _limit(Query.objects.filter(client=client), query, most // _CLIENTS)
    _limit(Query.objects.all(), query, most)
    return query


def _limit(queries: QuerySet[Query], newest: Query, most: int) -> None:
    """Discard the oldest of these queries until they have `most` bytes, but for the newest one."""
    over = (queries.aggregate(sum=Sum("bytes"))["sum"] or 0) - most
    if over <= 0:
        return
    for row in queries.exclude(pk=newest.pk).order_by("created").iterator():
        cleanup.discard_query(row.token, row.sha256)
        over -= row.bytes
        if over <= 0:
            break


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
