"""Files of text towers: in the models folder, in the hub's cache, or in a given folder.

A model's record, `NAME.tower` in the models folder, identifies the files by their digests.
`embeddings.text.user_towers` adds and removes them.
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
from embeddings.text import tokenization

# Repositories with the text towers of the models that come with the library.
REPOSITORIES: Mapping[str, str] = {
    "clip-vit-b32": "openai/clip-vit-base-patch32",
    "siglip-base-p16-224": "google/siglip-base-patch16-224",
}
FILES = ("model.safetensors", "config.json", "tokenizer.json")
_SUFFIX = ".tower"


@dataclass(frozen=True)
class Digests:
    """The SHA-256 of each file; together they determine a text's vector."""

    weights_sha256: str
    config_sha256: str
    tokenizer_sha256: str


@dataclass(frozen=True)
class TowerFiles:
    """The files of one tower; each is checked against its digest whenever it is read."""

    digests: Digests
    places: Mapping[str, Path]  # by the names of FILES

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises `WeightsError`."""
        digest = dict(zip(FILES, asdict(self.digests).values(), strict=True))[name]
        return tokenization.read(self.places[name], digest, "add or fetch the text tower again.")


def files_in(path: str | os.PathLike[str]) -> TowerFiles:
    """Return the tower in a folder. Raises `InputError` when it is not a folder, `WeightsError`
    for a missing file."""
    place = Path(path)
    if not place.is_dir():
        raise InputError(f"A text tower is a folder with {', '.join(FILES)}; {place} is none.")
    places = {name: place / name for name in FILES}
    digests = (hashlib.sha256(_found(one)).hexdigest() for one in places.values())
    return TowerFiles(Digests(*digests), places)


def kind_of(model: str) -> str:
    """Return the kind of a model's text tower, 'clip' or 'siglip'.

    Raises `UnknownName`, and `InputError` for a model without one.
    """
    card = model_card(model)
    if card.head not in TEXT_TOWERS:
        raise InputError(f"{model} has no text tower; only CLIP and SigLIP models have one.")
    return card.head


def text_tower(model: str) -> TowerFiles:
    """Return the model's text tower.

    Raises `UnknownName`, `InputError` for a model that has none, and `WeightsError`
    (`weights_missing`), which says how to get it.
    """
    kind_of(model)
    record = read_record(model)
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
    """Return the tower, of any model, with these digests. Raises `UnknownName`."""
    known = []
    for _, record in records():
        files = _of_record(record)
        if files.digests == digests:
            return files
        known.append(files.digests.weights_sha256)
    raise UnknownName("text tower", digests.weights_sha256, known)


def write_record(model: str, source: Mapping[str, Any], digests: Digests) -> None:
    """Record the model's tower; `source` says where its files are: with "source" "file" the names
    of "files" in the models folder, with "hub" the "repository" and its "revision"."""
    text = json.dumps({**source, "digests": asdict(digests)}, indent=2, sort_keys=True) + "\n"
    models_folder.write_file(f"{models_folder.check_name(model)}{_SUFFIX}", text.encode())


def remove_record(model: str) -> None:
    """Remove the record of the model's tower; its files stay."""
    (models_folder.models_folder() / f"{model}{_SUFFIX}").unlink(missing_ok=True)


def read_record(model: str) -> dict[str, Any] | None:
    """Return the record of the model's tower; None if there is none.

    Raises `WeightsError` (`card_damaged`) when it cannot be read.
    """
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


def records() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each model with a tower and its record; unreadable records are skipped."""
    for path in sorted(models_folder.models_folder().glob(f"*{_SUFFIX}")):
        with contextlib.suppress(EmbeddingsError):
            record = read_record(path.stem)
            if record is not None:
                yield path.stem, record


def _found(path: Path) -> bytes:
    return tokenization.read(path, None, f"a text tower is a folder with {', '.join(FILES)}.")


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

    cached = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
    # A missing file is reported by this path when it is read.
    return Path(cached) if isinstance(cached, str) else Path(repository, revision, name)
