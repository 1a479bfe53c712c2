"""Where a text tower's files are: in the models folder, in the hub's cache, or where one says.

A model's record, `NAME.tower` in the models folder, names the files by their digests.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import EmbeddingsError, InputError, UnknownName, WeightsError
from embeddings.models import models_folder
from embeddings.models.card_schema import TEXT_TOWERS
from embeddings.models.cards import model_card
from embeddings.models.hub import downloaded
from embeddings.text import tokenization

# The repositories whose text towers belong to the models that come with the library.
REPOSITORIES: Mapping[str, str] = {
    "clip-vit-b32": "openai/clip-vit-base-patch32",
    "siglip-base-p16-224": "google/siglip-base-patch16-224",
}
FILES = ("model.safetensors", "config.json", "tokenizer.json")
_SUFFIX = ".tower"


@dataclass(frozen=True)
class Digests:
    """The SHA-256 of each file; together they decide what a text's vector is."""

    weights_sha256: str
    config_sha256: str
    tokenizer_sha256: str


@dataclass(frozen=True)
class TowerFiles:
    """The files of one tower; each is checked against its digest whenever it is read."""

    digests: Digests
    places: Mapping[str, Path]  # by the names of FILES

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises `WeightsError`."""
        digest = dict(zip(FILES, asdict(self.digests).values(), strict=True))[name]
        return tokenization.read(self.places[name], digest, "add or fetch the text tower again.")


def files_in(path: str | os.PathLike[str]) -> TowerFiles:
    """The tower in a folder. Raises `InputError` for no folder, `WeightsError` for a file that
    is not there."""
    place = Path(path)
    if not place.is_dir():
        raise InputError(f"A text tower is a folder with {', '.join(FILES)}; {place} is none.")
    places = {name: place / name for name in FILES}
    digests = (hashlib.sha256(_found(one)).hexdigest() for one in places.values())
    return TowerFiles(Digests(*digests), places)


def kind_of(model: str) -> str:
    """The kind of text tower that a model has, 'clip' or 'siglip'.

    Raises `UnknownName`, and `InputError` for a model without one.
    """
    card = model_card(model)
    if card.head not in TEXT_TOWERS:
        raise InputError(f"{model} has no text tower; only CLIP and SigLIP models have one.")
    return card.head


def add_text_tower(model: str, path: str | os.PathLike[str]) -> TowerFiles:
    """Copy the text tower in the folder `path` into the models folder, as that of `model`.

    It is loaded once, to see that it works and that its vectors are as long as the model's.
    Raises `InputError`, `UnknownName`, `PackageMissing`, and `WeightsError`.
    """
    files = files_in(path)
    check_pair(model, files)
    stored = {}
    for name in FILES:
        stored[name] = _stored_name(name, asdict(files.digests).values())
        models_folder.write_file(stored[name], files.read(name))
    _record(model, {"source": "file", "files": stored}, files.digests)
    return text_tower(model)


def fetch_text_tower(model: str) -> TowerFiles:
    """See to it that the text tower of a model of the library is here.

    Downloads its three files into the hub's local cache, unless they are there or HF_HUB_OFFLINE
    is set, checks that they load, and keeps their digests and the commit. Nothing else about text
    downloads. Raises `InputError`, `UnknownName`, and `WeightsError` (`weights_missing` where
    they cannot be had).
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
    _record(model, {"source": "hub", "repository": repository, "revision": revision}, files.digests)
    return files


def remove_text_tower(model: str) -> None:
    """Forget the model's text tower, and remove its files from the models folder where no other
    model needs them; the hub's cache is left alone. Raises `InputError` where there is none."""
    record = _read_record(model)
    if record is None:
        raise InputError(f"{model} has no text tower in the models folder.")
    place = models_folder.models_folder()
    (place / f"{model}{_SUFFIX}").unlink(missing_ok=True)
    needed = {name for _, other in _records() for name in other.get("files", {}).values()}
    for name in set(record.get("files", {}).values()) - needed:
        (place / name).unlink(missing_ok=True)


def text_tower(model: str) -> TowerFiles:
    """The model's text tower, where it is here.

    Raises `UnknownName`, `InputError` for a model that has none, and `WeightsError`
    (`weights_missing`), which says how to bring it.
    """
    kind_of(model)
    record = _read_record(model)
    if record is not None:
        return _of_record(record)
    fetch = (
        f"'python -m embeddings fetch-model {model} --text' downloads it, once, where the Hugging "
        "Face hub can be reached; or "
        if model in REPOSITORIES
        else ""
    )
    whose = f" of {REPOSITORIES[model]}" if model in REPOSITORIES else ""
    raise WeightsError(
        "weights_missing",
        f"The text tower of {model} is not here: {fetch}bring {', '.join(FILES)}{whose} here and "
        f"run 'python -m embeddings add-text-tower {model} --from FOLDER'.",
    )


def tower_with(digests: Digests) -> TowerFiles:
    """The tower of any model whose files have these digests. Raises `UnknownName`."""
    known = []
    for _, record in _records():
        files = _of_record(record)
        if files.digests == digests:
            return files
        known.append(files.digests.weights_sha256)
    raise UnknownName("text tower", digests.weights_sha256, known)


def check_pair(model: str, files: TowerFiles) -> None:
    """Raise `WeightsError` (`weights_mismatch`) for a tower whose vectors are not as long as
    those of the model's pictures, and what loading it raises."""
    from embeddings.text.towers import tower

    made = tower(kind_of(model), files)
    wanted = model_card(model).head_dimension
    if made.dimension != wanted:
        raise WeightsError(
            "weights_mismatch",
            f"This text tower gives vectors of {made.dimension} numbers, {model} of {wanted}: "
            "they are no pair.",
        )


def _found(path: Path) -> bytes:
    return tokenization.read(path, None, f"a text tower is a folder with {', '.join(FILES)}.")


def _stored_name(name: str, digests: Any) -> str:
    digest = dict(zip(FILES, digests, strict=True))[name]
    # No card's name ends so, and a tower's weights are no model's.
    return f"{digest}.tower-{name.partition('.')[2]}"


def _record(model: str, source: Mapping[str, Any], digests: Digests) -> None:
    text = json.dumps({**source, "digests": asdict(digests)}, indent=2, sort_keys=True) + "\n"
    models_folder.write_file(f"{models_folder.check_name(model)}{_SUFFIX}", text.encode())


def _read_record(model: str) -> dict[str, Any] | None:
    path = models_folder.models_folder() / f"{model}{_SUFFIX}"
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        _of_record(record)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            "card_damaged", f"{path} cannot be read ({error!r}); add or fetch the tower again."
        ) from error
    return record


def _records() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(models_folder.models_folder().glob(f"*{_SUFFIX}")):
        with contextlib.suppress(EmbeddingsError):
            record = _read_record(path.stem)
            if record is not None:
                yield path.stem, record


def _of_record(record: Mapping[str, Any]) -> TowerFiles:
    place: Callable[[str], Path]
    if record["source"] == "hub":
        repository, revision = record["repository"], record["revision"]

        def place(name: str) -> Path:
            return _in_cache(repository, name, revision)
    else:
        stored = record["files"]

        def place(name: str) -> Path:
            return models_folder.models_folder() / Path(stored[name]).name

    return TowerFiles(Digests(**record["digests"]), {name: place(name) for name in FILES})


def _in_cache(repository: str, name: str, revision: str) -> Path:
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
    # One that is not there is told by its name when it is read.
    return Path(found) if isinstance(found, str) else Path(repository, revision, name)


def _downloaded(model: str, repository: str, name: str) -> Path:
    instead = (
        f"bring {', '.join(FILES)} here and run "
        f"'python -m embeddings add-text-tower {model} --from FOLDER'."
    )
    return downloaded(repository, name, None, instead)
