"""Models folder of a user: model cards as JSON, and weights files named by their digest.

It is `EMBEDDINGS_HOME`, else `$XDG_DATA_HOME/lookalike-embeddings`, else
`~/.local/share/lookalike-embeddings`. Files are written atomically. This module imports no torch.
"""

import contextlib
import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embeddings.errors import InputError, WeightsError
from embeddings.models.card_schema import FileWeights, HubWeights, ModelCard

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TUPLES = ("mean", "std", "layers", "languages")


def models_folder() -> Path:
    """Return the folder for a user's models; it may not exist yet."""
    if home := os.environ.get("EMBEDDINGS_HOME"):
        return Path(home)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "lookalike-embeddings"


def check_name(name: str) -> str:
    """Return `name` if it is valid for a model and a file. Raises `InputError`."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            "A model's name is 1 to 100 lower-case letters, digits, '.', '_' and '-', and begins "
            f"with a letter or digit; not {name!r}."
        )
    return name


def saved_names() -> tuple[str, ...]:
    """Return the names of the cards in the folder, sorted."""
    try:
        files = list(models_folder().glob("*.json"))
    except OSError:
        return ()
    return tuple(sorted(file.stem for file in files if _NAME.fullmatch(file.stem)))


def read_card(name: str) -> ModelCard | None:
    """Return the saved card of that name, None if there is none.

    Raises `WeightsError` (`card_damaged`) when the file is not one of `save_card`.
    """
    if not _NAME.fullmatch(name):
        return None
    path = models_folder() / f"{name}.json"
    try:
        fields = json.loads(path.read_bytes())
        weights = fields.pop("weights")
        known = {"file": FileWeights, "hub": HubWeights}[weights.pop("source")]
        source = known(**weights)
        fields |= {key: tuple(fields[key]) for key in _TUPLES}
        card = ModelCard(weights=source, **fields)
        if card.name != name or not _DIGEST.fullmatch(card.sha256 or ""):
            raise ValueError("another name, or no digest")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            "card_damaged",
            f"The card {path} cannot be read ({error!r}); remove the model and add it again.",
        ) from error
    if isinstance(source, FileWeights):
        # Relative to the folder, so that the folder may be moved.
        return dataclasses.replace(card, weights=FileWeights(str(path.parent / source.path)))
    return card


def saved_cards() -> Iterator[ModelCard]:
    """Yield every readable card in the folder, by name."""
    for name in saved_names():
        with contextlib.suppress(WeightsError):
            card = read_card(name)
            if card is not None:
                yield card


def write_file(name: str, data: bytes) -> None:
    """Write a file into the folder atomically, even if power fails.

    Raises `WeightsError` (`folder_unwritable`).
    """
    folder = models_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=".adding-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            os.replace(aside, folder / name)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
        _sync_folder(folder)
    except OSError as error:
        raise WeightsError(
            "folder_unwritable",
            f"Cannot write to the models folder {folder} ({error.strerror}); "
            "EMBEDDINGS_HOME names another one.",
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable. Some systems cannot open a folder; there it is left to the system."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save_card(card: ModelCard) -> None:
    """Write the card; the path of its weights file is stored relative to the folder."""
    fields: dict[str, Any] = dataclasses.asdict(card)
    source = "file" if isinstance(card.weights, FileWeights) else "hub"
    if isinstance(card.weights, FileWeights):
        fields["weights"]["path"] = Path(card.weights.path).name
    fields["weights"]["source"] = source
    text = json.dumps(fields, indent=2, sort_keys=True) + "\n"
    write_file(f"{check_name(card.name)}.json", text.encode())


def remove_card(name: str) -> None:
    """Remove the card, and its weights file unless another card needs it.

    Raises `WeightsError` (`folder_unwritable`).
    """
    folder = models_folder()
    try:
        card = read_card(name)
    except WeightsError:  # a damaged card is removed too
        card = None
    try:
        (folder / f"{name}.json").unlink(missing_ok=True)
        weights = card.weights if card is not None else None
        needed = any(other.weights == weights for other in saved_cards())
        if isinstance(weights, FileWeights) and not needed:
            (folder / Path(weights.path).name).unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(
            "folder_unwritable", f"Cannot remove {name} from {folder} ({error.strerror})."
        ) from error
