"""Buckets that imports read: S3 by boto3, others by fsspec.

S3 is not read through fsspec's s3fs, because s3fs and the application's storage need different
releases of botocore. Also, boto3 can list a bucket from a given key on, while fsspec always lists
all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO, cast

from django.conf import settings

from searchapp.infra import import_roots
from searchapp.services.errors import Invalid

# Error codes that mean "not found"; the libraries have no common base class for them.
_NOT_THERE = ("NoSuchKey", "404", "NoSuchBucket")


class BucketUnreachable(OSError):
    """A bucket does not answer, or refuses the request; the message says which."""


def check(address: str) -> str:
    """Return `address` if imports may read it and its protocol is installed.

    Raises `Invalid`, code `bucket_not_allowed` or `protocol_missing`, when that is not the case.
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
    """Yield address and size (bytes) of the files below `prefix`, sorted, starting after `after`.

    Raises `BucketUnreachable` when the bucket does not answer or refuses the request.
    """
    import_roots.check_bucket(prefix)
    with _errors():
        files = _s3_names(prefix, after) if prefix.startswith("s3://") else _names(prefix, after)
        yield from files


def open_file(address: str) -> BinaryIO:
    """Open a file for reading, once, from its beginning.

    Raises `FileNotFoundError` when there is no such file, and `BucketUnreachable` when the bucket
    does not answer or refuses the request.
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
    entries = cast(dict[str, dict[str, Any]], _filesystem(scheme).find(path, detail=True))
    for name in sorted(entries):
        address = f"{scheme}://{name.lstrip('/')}"
        if address > after:
            yield address, int(entries[name].get("size") or 0)


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
    """Translate the errors of boto3 to `FileNotFoundError` and `BucketUnreachable`."""
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
