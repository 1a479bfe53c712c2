"""All environment variables that the application reads, in one table.

Variables that are not in `KNOWN` are not read. Each has a parser that rejects an invalid value with
a message that names the variable. `docs/configuration.md` is checked against this table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from embeddings.runtimes.spec import RUNTIMES
from searchapp.infra.fetch.policy import FetchPolicy

Parser = Callable[[str], Any]


def text(value: str) -> str:
    return value


def boolean(value: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    try:
        return words[value.strip().lower()]
    except KeyError:
        raise ValueError("must be 1 or 0") from None


def integer(least: int, most: int) -> Parser:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return number

    return parse


def seconds(least: float, most: float) -> Parser:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ValueError(f"must be a number of seconds from {least:g} to {most:g}")
        return number

    return parse


def words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def hosts(value: str) -> list[str]:
    entries = words(value)
    try:
        FetchPolicy(allowed_hosts=tuple(entries))
    except ValueError:
        raise ValueError("must be hosts, each 'name' or 'name:port', comma-separated") from None
    return entries


def ports(value: str) -> list[int]:
    return [integer(1, 65535)(word) for word in words(value)]


def one_of(*choices: str) -> Parser:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of: {', '.join(choices)}")
        return value

    return parse


def path(value: str) -> Path:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be the path of a folder")
    if " #" in value or " ;" in value:  # these start comments in the supervisor's configuration
        raise ValueError("must not have # or ; behind a blank")
    return Path(value).expanduser().absolute()


def paths(value: str) -> list[Path]:
    return [path(word) for word in words(value)]


# These protocols would read files of this machine, or bypass our rules for fetching.
_NO_BUCKETS = frozenset(
    {"file", "local", "http", "https", "ftp", "sftp", "ssh", "smb", "dir", "zip", "tar", "data",
     "simplecache", "filecache", "blockcache", "reference", "git", "github", "jupyter"}
)  # fmt: skip


def buckets(value: str) -> list[str]:
    prefixes = words(value)
    for word in prefixes:
        scheme, mark, rest = word.partition("://")
        if not mark or not rest.strip("/") or scheme in _NO_BUCKETS or not scheme.isalnum():
            raise ValueError(
                "must be prefixes of buckets, such as s3://photos/2026/, comma-separated"
            )
    return prefixes


def password(value: str) -> str:
    if len(value) < 8:
        raise ValueError("must have at least 8 characters")
    return value


def contacts(value: str) -> list[str]:
    addresses = words(value)
    if not all(word.startswith(("mailto:", "https://", "tel:")) for word in addresses):
        raise ValueError("must be addresses that begin with mailto:, https:// or tel:")
    return addresses


def prefix(value: str) -> str:
    path = f"/{value.strip('/')}" if value.strip("/") else ""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", path) or {".", ".."} & set(path.split("/")):
        raise ValueError("must be a path such as /pictures")
    return path


def host(value: str) -> str:
    if not value or any(character in value for character in " /@\t\n"):
        raise ValueError("must be a host name or an address to listen on, such as 127.0.0.1")
    return value


def url(*schemes: str) -> Parser:
    def parse(value: str) -> str:
        if urlsplit(value).scheme not in schemes:
            raise ValueError(f"must be an address that begins with {' or '.join(schemes)}:")
        return value

    return parse


@dataclass(frozen=True)
class Variable:
    """An environment variable: its parser, its default as a string, and its purpose."""

    name: str
    parse: Parser
    default: str | None
    purpose: str
    secret: bool = False


def _table(*variables: Variable) -> dict[str, Variable]:
    return {variable.name: variable for variable in variables}


KNOWN: dict[str, Variable] = _table(
    Variable(
        "LOOKALIKE_MODE",
        one_of("local", "production"),
        "local",
        "`local` runs everything embedded; `production` demands secrets and turns HTTPS rules on",
    ),
    Variable("LOOKALIKE_DEBUG", boolean, "0", "Django's debug pages; never on a public address"),
    Variable("LOOKALIKE_DATA_DIR", path, None, "where all state lives (`./var`)"),
    Variable("HOST", host, "127.0.0.1", "address that the web server listens on"),
    Variable("PORT", integer(1, 65535), "8000", "port that the web server listens on"),
    Variable("LOOKALIKE_DEMO", boolean, "1", "load the demo gallery at the first start"),
    Variable(
        "LOOKALIKE_ADMIN_PASSWORD",
        password,
        None,
        "password of `admin`, instead of a generated one",
        secret=True,
    ),
    Variable("SECRET_KEY", text, None, "Django's signing key; generated and kept when local", True),
    Variable("ALLOWED_HOSTS", words, "", "host names that the site answers to, comma-separated"),
    Variable("CSRF_TRUSTED_ORIGINS", words, "", "origins whose forms are trusted, comma-separated"),
    Variable("LOOKALIKE_HTTPS", boolean, None, "redirect to HTTPS, secure cookies, HSTS"),
    Variable(
        "LOOKALIKE_PREFIX",
        prefix,
        "",
        "path below which a reverse proxy serves the site, such as `/pictures`",
    ),
    Variable(
        "LOOKALIKE_PROXY_HEADERS",
        boolean,
        "0",
        "trust X-Forwarded-Proto, X-Forwarded-For and X-Request-ID from the reverse proxy in front",
    ),
    Variable(
        "LOOKALIKE_SECURITY_CONTACT",
        contacts,
        "",
        "whom to tell about weaknesses, for `/.well-known/security.txt`: `mailto:` or `https:` "
        "addresses, comma-separated",
    ),
    Variable(
        "DATABASE_URL",
        url("sqlite", "postgres", "postgresql"),
        None,
        "database; SQLite in the data folder when unset",
        secret=True,
    ),
    Variable(
        "REDIS_URL",
        url("redis", "rediss", "unix"),
        None,
        "Redis; an embedded Valkey when unset",
        secret=True,
    ),
    Variable(
        "MILVUS_URI",
        url("http", "https", "unix"),
        None,
        "Milvus; an embedded Milvus Lite when unset",
    ),
    Variable("MILVUS_TOKEN", text, "", "user:password or API key for Milvus", secret=True),
    Variable(
        "STORAGE_URL",
        url("file", "s3"),
        None,
        "originals and thumbnails: `file:///folder` or `s3://bucket/prefix`; `files` in the data "
        "folder when unset",
    ),
    Variable("AWS_ACCESS_KEY_ID", text, "", "key for S3 storage", secret=True),
    Variable("AWS_SECRET_ACCESS_KEY", text, "", "secret for S3 storage", secret=True),
    Variable("AWS_S3_ENDPOINT_URL", text, "", "endpoint of an S3-compatible store, such as MinIO"),
    Variable("AWS_S3_REGION_NAME", text, "", "region of the S3 bucket"),
    Variable("LOOKALIKE_WEB_WORKERS", integer(1, 64), "2", "web server processes"),
    Variable("LOOKALIKE_WEB_THREADS", integer(1, 256), "8", "threads of each web process"),
    Variable("LOOKALIKE_QUERY_THREADS", integer(1, 256), "8", "threads of the query worker"),
    Variable("LOOKALIKE_INGEST_PROCESSES", integer(1, 64), "2", "processes of the ingest worker"),
    Variable("LOOKALIKE_INGEST_BATCH", integer(1, 256), "64", "images that one task embeds"),
    Variable("LOOKALIKE_RUNTIME", one_of(*RUNTIMES), "auto", "what computes the models"),
    Variable(
        "EMBEDDINGS_CACHE",
        path,
        None,
        "converted models and measurements of this machine; `cache` in the data folder when unset",
    ),
    Variable(
        "LOOKALIKE_MAX_UPLOAD_BYTES",
        integer(1, 2**40),
        "50000000",
        "largest picture file accepted, in bytes",
    ),
    Variable(
        "LOOKALIKE_MAX_PIXELS",
        integer(1, 10**10),
        "100000000",
        "largest picture accepted, in pixels",
    ),
    Variable("LOOKALIKE_MAX_FILES", integer(1, 10_000), "100", "files in one upload request"),
    Variable(
        "LOOKALIKE_MAX_REQUEST_BYTES",
        integer(1, 2**44),
        "2000000000",
        "largest request body, in bytes",
    ),
    Variable(
        "LOOKALIKE_IMPORT_ROOTS",
        paths,
        "",
        "folders of the server that imports may read, comma-separated; none when empty",
    ),
    Variable(
        "LOOKALIKE_IMPORT_BUCKETS",
        buckets,
        "",
        "prefixes that imports may read with the server's own keys, comma-separated, such as "
        "`s3://photos/2026/`; none when empty",
    ),
    Variable(
        "LOOKALIKE_MAX_ARCHIVE_BYTES",
        integer(1, 2**50),
        "20000000000",
        "largest archive or manifest that is imported, in bytes",
    ),
    Variable(
        "LOOKALIKE_MAX_UNPACKED_BYTES",
        integer(1, 2**50),
        "100000000000",
        "what the files of one archive may have together, in bytes",
    ),
    Variable(
        "LOOKALIKE_MAX_MEMBERS", integer(1, 10**8), "200000", "files that one archive may have"
    ),
    Variable(
        "LOOKALIKE_MAX_WAITING_QUERIES",
        integer(1, 100_000),
        "200",
        "searches that may wait for a worker before further ones are refused with 503",
    ),
    Variable(
        "LOOKALIKE_QUERY_KEEP_HOURS",
        integer(1, 24 * 365),
        "24",
        "how long a query picture is kept",
    ),
    Variable(
        "LOOKALIKE_MAX_QUERY_BYTES",
        integer(1, 2**50),
        "5000000000",
        "what all query pictures may have together, in bytes; one client's a tenth of it",
    ),
    Variable(
        "LOOKALIKE_MIN_FREE_BYTES",
        integer(0, 2**50),
        "200000000",
        "what stays free on the disk: uploads are refused before they fill it, in bytes",
    ),
    Variable(
        "LOOKALIKE_VERIFY_MS",
        integer(0, 5000),
        "250",
        "milliseconds in which a search looks at its best matches again; 0: it does not",
    ),
    Variable(
        "LOOKALIKE_FETCH_ALLOWED_HOSTS",
        hosts,
        "",
        "hosts (`name` or `name:port`) that picture addresses may name in spite of the rules",
    ),
    Variable("LOOKALIKE_FETCH_PORTS", ports, "80,443", "ports that picture addresses may name"),
    Variable("LOOKALIKE_FETCH_TIMEOUT", seconds(0.1, 300), "10", "seconds to fetch a picture"),
    Variable("LOOKALIKE_LOG_LEVEL", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO", "logging"),
)


class Environment:
    """Reads the variables of `KNOWN`; an empty value counts as unset."""

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self._source = os.environ if source is None else source

    def __getitem__(self, name: str) -> Any:
        """Return the parsed value, or None if there is neither a value nor a default.

        Raises `ImproperlyConfigured`, with a message that names the variable, when it is invalid.
        """
        variable = KNOWN[name]
        raw = self._source.get(name) or variable.default
        if raw is None:
            return None
        try:
            return variable.parse(raw)
        except ValueError as error:
            shown = "" if variable.secret else f", not {raw!r}"
            raise ImproperlyConfigured(f"{name} {error}{shown}.") from None

    def required(self, name: str, because: str) -> Any:
        """Return the value. Raises `ImproperlyConfigured` when it is missing."""
        value = self[name]
        if value is None or value in ("", []):
            raise ImproperlyConfigured(f"{name} must be set {because}.")
        return value
