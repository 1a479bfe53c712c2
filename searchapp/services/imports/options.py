"""`ImportOptions`: the options of an import, validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from searchapp.models import OnDuplicate
from searchapp.services.errors import Invalid
from searchapp.services.imports import image_fields

MIN_SIDE, MAX_SIDE = 64, 20_000  # pixels
ORIGINAL: Literal["original"] = "original"
REFERENCE: Literal["reference"] = "reference"


@dataclass(frozen=True)
class ImportOptions:
    """How the files of one import are processed.

    The source's own value for a file (its label in a manifest, say) takes precedence over `label`;
    `tags` and `metadata` are added to the file's own.
    """

    label: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    on_duplicate: OnDuplicate = OnDuplicate.SKIP
    max_side: int | None = None  # pixels; larger pictures are scaled down before storing
    keep: Literal["original", "reference"] = ORIGINAL
    dry_run: bool = False
    move: bool = False  # for images of another dataset: they are deleted there
    label_from_folder: bool = False  # the name of a file's folder becomes its label

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ImportOptions:
        """Read options from the API, a form or the database.

        Raises `Invalid` with code `invalid_options` and a sentence that names the option.
        """
        known = [one.name for one in fields(cls)]
        for name in data:
            if name not in known:
                raise _invalid(f"There is no option '{name}'; there are: {', '.join(known)}.")
        options = cls(
            label=_label(data.get("label", "")),
            tags=_tags(data.get("tags", ())),
            metadata=_metadata(data.get("metadata", {})),
            on_duplicate=_on_duplicate(data.get("on_duplicate", OnDuplicate.SKIP)),
            max_side=_max_side(data.get("max_side")),
            keep=_keep(data.get("keep", ORIGINAL)),
            dry_run=_flag(data, "dry_run"),
            move=_flag(data, "move"),
            label_from_folder=_flag(data, "label_from_folder"),
        )
        if options.max_side is not None and options.keep == REFERENCE:
            raise _invalid(
                "'max_side' makes a smaller copy and 'keep: reference' keeps none: choose one."
            )
        return options

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON; `from_dict` reads it back."""
        written = asdict(self)
        written["tags"] = list(self.tags)
        written["on_duplicate"] = str(self.on_duplicate)
        return written


def _invalid(sentence: str) -> Invalid:
    return Invalid("invalid_options", sentence)


def _label(value: Any) -> str:
    try:
        return image_fields.label(value)
    except ValueError as error:
        raise _invalid(f"label: {error}") from None


def _tags(value: Any) -> tuple[str, ...]:
    try:
        return image_fields.tags(value)
    except ValueError as error:
        raise _invalid(f"tags: {error}") from None


def _metadata(value: Any) -> dict[str, Any]:
    try:
        return image_fields.metadata(value)
    except ValueError as error:
        raise _invalid(f"metadata: {error}") from None


def _on_duplicate(value: Any) -> OnDuplicate:
    try:
        return OnDuplicate(value)
    except ValueError:
        raise _invalid(f"on_duplicate is one of: {', '.join(OnDuplicate.values)}.") from None


def _keep(value: Any) -> Literal["original", "reference"]:
    if value == ORIGINAL:
        return ORIGINAL
    if value == REFERENCE:
        return REFERENCE
    raise _invalid("keep is 'original' or 'reference'.")


def _max_side(value: Any) -> int | None:
    if value in (None, ""):
        return None
    is_number = isinstance(value, int | str) and not isinstance(value, bool)
    number = int(value) if is_number and str(value).isascii() and str(value).isdigit() else 0
    if not MIN_SIDE <= number <= MAX_SIDE:
        raise _invalid(f"max_side is a whole number of pixels from {MIN_SIDE} to {MAX_SIDE}.")
    return number


def _flag(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name, False)
    if not isinstance(value, bool):
        raise _invalid(f"{name} is true or false.")
    return value
