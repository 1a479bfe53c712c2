"""`manifest.json` of a bundle: its contents, its recipe, and the digest of every file."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from embeddings.bundle.formats import FORMATS
from embeddings.bundle.provenance import provenance
from embeddings.errors import BundleError, EmbeddingsError

NAME = "manifest.json"
KIND = "embeddings-bundle"
VERSION = 1
MAX_DIMENSION = 2**20

_MAX_BYTES = 16 * 2**20
_SHA256 = re.compile("[0-9a-f]{64}")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _digest(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _computed(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"runtime", "precision", "device"}
        and all(one is None or isinstance(one, str) for one in value.values())
    )


def _files(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(one, dict)
        and set(one) == {"bytes", "sha256"}
        and _whole(one["bytes"])
        and _digest(one["sha256"])
        for one in value.values()
    )


# Every key in reading order, with the check of its value.
_KEYS: Mapping[str, Callable[[Any], bool]] = {
    "kind": _text,
    "version": _whole,
    "format": lambda value: value in tuple(FORMATS),
    "fingerprint": _digest,
    "count": _whole,
    "dimension": lambda value: _whole(value) and 1 <= value <= MAX_DIMENSION,
    "dtype": lambda value: value == "float32",
    "created": _text,
    "library": _text,
    "computed": _computed,
    "models": lambda value: isinstance(value, list) and all(isinstance(x, dict) for x in value),
    "recipe": lambda value: isinstance(value, dict),
    "files": _files,
    "manifest_sha256": _digest,
}


def file_facts(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of each file of a folder."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in names
    }


def sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(folder: Path, values: Mapping[str, Any]) -> None:
    """Write the manifest; `kind`, `version` and `manifest_sha256` are added here."""
    complete = {"kind": KIND, "version": VERSION, "dtype": "float32", **values}
    ordered = {key: complete[key] for key in _KEYS if key != "manifest_sha256"}
    text = _written({**ordered, "manifest_sha256": _own_digest(ordered)})
    (folder / NAME).write_text(text, encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, with every value checked; the other files are not read.

    Raises `BundleError` with `bundle_missing`, `bundle_too_new` or `bundle_damaged`, the last also
    when the fingerprint is not that of the recipe.
    """
    raw = _raw(folder)
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise damaged(folder, f"{NAME} is no JSON ({error})") from error
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise damaged(folder, f"{NAME} is not the manifest of a bundle")
    version = data.get("version")
    if not isinstance(version, int) or not _whole(version) or version == 0:
        raise damaged(folder, f"{NAME} has no version")
    if version > VERSION:
        raise BundleError(
            "bundle_too_new",
            f"{folder} is a bundle of version {version}, and this library reads {VERSION}: "
            "bring the library up to date, or export the bundle again with an older one.",
        )
    for key in (*_KEYS, *data):
        if key not in data or key not in _KEYS or not _KEYS[key](data[key]):
            raise damaged(folder, f"{key!r} of {NAME} is not what it must be")
    _check_digest(folder, raw, data)
    if set(data["files"]) != set(FORMATS[data["format"]].files):
        raise damaged(folder, f"{NAME} names other files than the format {data['format']} has")
    _check_recipe(folder, data)
    return data


def check_names(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raises `BundleError` when the folder does not hold exactly the files of the manifest.

    Sizes are compared, and links do not count as files.
    """
    sizes = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            if entry.name not in (NAME, *manifest["files"]):
                raise damaged(folder, f"{entry.name!r} is not in the manifest")
            if not stat.S_ISREG(facts.st_mode):
                raise damaged(folder, f"{entry.name!r} is no plain file")
            sizes[entry.name] = facts.st_size
    for name, facts in manifest["files"].items():
        if name not in sizes:
            raise damaged(folder, f"the file {name} is missing")
        if sizes[name] != facts["bytes"]:
            raise damaged(folder, f"{name} has {sizes[name]} bytes and not {facts['bytes']}")


def check_digests(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raises `BundleError` when a file's SHA-256 is not that of the manifest."""
    for name, facts in manifest["files"].items():
        if sha256(folder / name) != facts["sha256"]:
            raise damaged(folder, f"the SHA-256 of {name} is not that of the manifest")


def damaged(folder: Path, what: str) -> BundleError:
    """The error for a damaged bundle."""
    return BundleError(
        "bundle_damaged",
        f"The bundle {folder} is damaged: {what}. Fetch or export it again.",
    )


def _raw(folder: Path) -> bytes:
    path = folder / NAME
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MAX_BYTES:
            raise damaged(folder, f"{NAME} is no plain file of at most {_MAX_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            "bundle_missing",
            f"There is no bundle in {folder}: {NAME} cannot be read ({error.strerror}).",
        ) from error


def _check_digest(folder: Path, raw: bytes, data: Mapping[str, Any]) -> None:
    rest = {key: value for key, value in data.items() if key != "manifest_sha256"}
    try:
        same = raw == _written(data).encode() and _own_digest(rest) == data["manifest_sha256"]
    except (ValueError, RecursionError):  # lone surrogates, NaN
        same = False
    if not same:
        raise damaged(folder, f"{NAME} has been changed since it was written")


def _check_recipe(folder: Path, data: Mapping[str, Any]) -> None:
    try:
        parsed = provenance(data["recipe"])
    except EmbeddingsError as error:
        raise damaged(folder, f"its recipe cannot be read ({error})") from error
    if parsed.fingerprint != data["fingerprint"]:
        raise damaged(folder, "its recipe has another fingerprint than it says")
    if parsed.dimension not in (None, data["dimension"]):
        raise damaged(folder, f"its recipe gives {parsed.dimension} dimensions")


def _own_digest(rest: Mapping[str, Any]) -> str:
    return hashlib.sha256(_written(rest).encode()).hexdigest()


def _written(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
