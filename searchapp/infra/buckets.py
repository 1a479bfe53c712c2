"""Buckets that imports read: S3 by boto3, others by fsspec.

S3 is not read by fsspec's s3fs: that needs its own release of botocore, and the application's
storage another; and boto3 lists a bucket from a key on, where fsspec lists all of it every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO, cast

from django.conf import settings

from searchapp.infra import import_roots
from searchapp.services.errors import Invalid

# Errors of the libraries below, which have no root in common.
_NOT_THERE = ("NoSuchKey", "404", "NoSuchBucket")


class BucketUnreachable(OSError):
    """A bucket does not answer, or says no; the sentence says which."""


def check(address: str) -> str:
    """Return `address` where it may be imported from and its protocol is there.

    Raises:
        Invalid: code `bucket_not_allowed` or `protocol_missing`.
    """
    import_roots.check_bucket(address)
    scheme = address.partition("://")[0]
    if scheme != "s3":
        try:
            _filesystem(scheme)
        except (ImportError, ValueError):
            raise Invalid(
                "protocol_missing",
                f"The package that reads {scheme}:// is not installed on this server.",
            ) from None
    return address


def names(prefix: str, after: str) -> Iterator[tuple[str, int]]:
    """Yield address and size (bytes) of the files below `prefix`, sorted, behind `after`.

    Raises:
        BucketUnreachable
    """
    import_roots.check_bucket(prefix)
    with _errors():
        found = _s3_names(prefix, after) if prefix.startswith("s3://") else _names(prefix, after)
        yield from found


def open_file(address: str) -> BinaryIO:
    """Open a file for reading, once, from its beginning.

    Raises:
        FileNotFoundError, BucketUnreachable
    """
    import_roots.check_bucket(address)
    with _errors():
        if address.startswith("s3://"):
            bucket, key = _split(address)
            return cast(BinaryIO, _s3().get_object(Bucket=bucket, Key=key)["Body"])
        scheme, _, path = address.partition("://")
        return cast(BinaryIO, _filesystem(scheme).open(path, "rb"))


def _s3_names(prefix: str, after: str) -> Iterator[tuple[str, int]]:
    bucket, start = _split(prefix)
    pages = (
        _s3()
        .get_paginator("list_objects_v2")
        .paginate(Bucket=bucket, Prefix=start, StartAfter=_split(after)[1] if after else "")
    )
    for page in pages:
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):
                yield f"s3://{bucket}/{entry['Key']}", int(entry["Size"])


def _names(prefix: str, after: str) -> Iterator[tuple[str, int]]:
    scheme, _, path = prefix.partition("://")
    found = cast(dict[str, dict[str, Any]], _filesystem(scheme).find(path, detail=True))
    for name in sorted(found):
        address = f"{scheme}://{name.lstrip('/')}"
        if address > after:
            yield address, int(found[name].get("size") or 0)


def _split(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


@lru_cache(maxsize=1)
def _s3() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        aws_access_key_id=settings.AWS_ACCESS_KEY_ID or None,
        aws_secret_access_key=settings.AWS_SECRET_ACCESS_KEY or None,
        endpoint_url=settings.AWS_S3_ENDPOINT_URL or None,
        region_name=settings.AWS_S3_REGION_NAME or None,
        config=Config(connect_timeout=10, read_timeout=30, retries={"max_attempts": 3}),
    )


def _filesystem(scheme: str) -> Any:
    import fsspec

    return fsspec.filesystem(scheme)


@contextmanager
def _errors() -> Iterator[None]:
    """Give the many errors of the libraries our two names."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _NOT_THERE:
            raise FileNotFoundError(code) from None
        raise BucketUnreachable(0, f"the store answered {code or 'with an error'}") from error
    except BotoCoreError as error:
        raise BucketUnreachable(0, "the store does not answer") from error
