"""User text towers: add one from a folder, fetch one from the hub, remove it."""

import contextlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embeddings.errors import InputError, WeightsError
from embeddings.models import models_folder
from embeddings.models.hub import downloaded
from embeddings.text.tower_files import (
    FILES,
    REPOSITORIES,
    TowerFiles,
    files_in,
    kind_of,
    read_record,
    records,
    remove_record,
    text_tower,
    write_record,
)
from embeddings.text.towers import check_pair


def add_text_tower(model: str, path: str | os.PathLike[str]) -> TowerFiles:
    """Copy the text tower in the folder `path` into the models folder and assign it to `model`.

    It is loaded once, to check that it works and that its vectors are as long as the model's.
    Raises `InputError`, `UnknownName`, `PackageMissing`, and `WeightsError`.
    """
    files = files_in(path)
    check_pair(model, files)
    stored = {}
    for name in FILES:
        stored[name] = _stored_name(name, asdict(files.digests).values())
        models_folder.write_file(stored[name], files.read(name))
    write_record(model, {"source": "file", "files": stored}, files.digests)
    return text_tower(model)


def fetch_text_tower(model: str) -> TowerFiles:
    """Download the text tower of a model of the library, unless it is already present.

    The three files go into the hub's local cache, unless they are there or HF_HUB_OFFLINE is set;
    they are loaded as a check, and their digests and the commit recorded. Nothing else about text
    downloads. Raises `InputError`, `UnknownName`, and `WeightsError` (`weights_missing` when
    the files are not available).
    """
    kind_of(model)
    if model not in REPOSITORIES:
        raise InputError(f"{model} has no repository of its own; add_text_tower takes a folder.")
    with contextlib.suppress(WeightsError):
        there = text_tower(model)
        for name in FILES:
            there.read(name)
        return there
    repository = REPOSITORIES[model]
    places = {name: _downloaded(model, repository, name) for name in FILES}
    files = files_in(places["model.safetensors"].parent)
    check_pair(model, files)
    revision = places["model.safetensors"].parent.name
    write_record(
        model, {"source": "hub", "repository": repository, "revision": revision}, files.digests
    )
    return files


def remove_text_tower(model: str) -> None:
    """Remove the record of the model's text tower, and those of its files in the models folder that
    no other model needs; the hub's cache is unchanged. Raises `InputError` if there is none."""
    record = read_record(models_folder.check_name(model))
    if record is None:
        raise InputError(f"{model} has no text tower in the models folder.")
    remove_record(model)
    needed = {name for _, other in records() for name in other.get("files", {}).values()}
    for name in set(record.get("files", {}).values()) - needed:
        (models_folder.models_folder() / name).unlink(missing_ok=True)


def _stored_name(name: str, digests: Any) -> str:
    digest = dict(zip(FILES, digests, strict=True))[name]
    # This suffix cannot collide with names of cards or of models' weights.
    return f"{digest}.tower-{name.partition('.')[2]}"


def _downloaded(model: str, repository: str, name: str) -> Path:
    instead = (
        f"bring {', '.join(FILES)} here and run "
        f"'python -m embeddings add-text-tower {model} --from FOLDER'."
    )
    return downloaded(repository, name, None, instead)
