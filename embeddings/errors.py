"""Exceptions of the library: each has a stable `code` for programs and a `detail` for people."""

import difflib
from collections.abc import Iterable
from typing import Literal

ImageErrorCode = Literal[
    "empty_file",
    "not_a_picture",
    "unsupported_format",
    "truncated",
    "corrupt",
    "too_many_pixels",
    "hostile",
]


class EmbeddingsError(Exception):
    """Base of every error that this library raises on purpose.

    `code` is a stable snake_case word; `detail` is a sentence that says what was wrong and,
    where known, what would be valid.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class ImageError(EmbeddingsError):
    """A picture that cannot be used. The same bytes always fail with the same code."""

    def __init__(self, code: ImageErrorCode, detail: str) -> None:
        super().__init__(code, detail)


class InputError(EmbeddingsError):
    """An argument of a type or shape that is not accepted (code `bad_input`)."""

    def __init__(self, detail: str) -> None:
        super().__init__("bad_input", detail)
        self.args = (detail,)  # pickle calls the class with these


class RecipeError(EmbeddingsError):
    """A recipe that is malformed or not supported by an operator (code `bad_recipe`)."""

    def __init__(self, detail: str) -> None:
        super().__init__("bad_recipe", detail)
        self.args = (detail,)


class WeightsError(EmbeddingsError):
    """Weights, or a model card, that cannot be used.

    Codes: `weights_missing`, `weights_mismatch` (not those expected), `weights_damaged` (not a
    complete checkpoint), `weights_unsafe` (a pickle that would run code), `model_exists` (the
    name or the weights belong to another model), `card_damaged`, `folder_unwritable`.
    """


class RuntimeUnavailable(EmbeddingsError):
    """A runtime, precision or device that is not available here (code `runtime_unavailable`)."""

    def __init__(self, detail: str) -> None:
        super().__init__("runtime_unavailable", detail)
        self.args = (detail,)


class OperatorUnavailable(EmbeddingsError):
    """An operator whose package is broken or not installed (code `operator_unavailable`)."""

    def __init__(self, detail: str) -> None:
        super().__init__("operator_unavailable", detail)
        self.args = (detail,)


class OutputError(EmbeddingsError):
    """A result that cannot be written (code `cannot_write`)."""

    def __init__(self, detail: str) -> None:
        super().__init__("cannot_write", detail)
        self.args = (detail,)


class PackageMissing(EmbeddingsError):
    """An optional dependency that is not installed (code `package_missing`)."""

    def __init__(self, detail: str) -> None:
        super().__init__("package_missing", detail)
        self.args = (detail,)


class WorkerError(EmbeddingsError):
    """A worker process died, or its result cannot be pickled (code `worker_failed`)."""

    def __init__(self, detail: str) -> None:
        super().__init__("worker_failed", detail)
        self.args = (detail,)


class BundleError(EmbeddingsError):
    """A bundle that cannot be used.

    Codes: `bundle_missing`, `bundle_damaged` (content differs from the manifest),
    `bundle_too_new` (a later version of the format), `fingerprint_differs` (another recipe
    than the requested one).
    """


class Busy(EmbeddingsError):
    """The queue is full: try again a little later (code `busy`)."""

    def __init__(self, detail: str) -> None:
        super().__init__("busy", detail)
        self.args = (detail,)


class UnknownName(EmbeddingsError):
    """A name that is not registered (code `unknown_name`).

    `kind` is the kind of name ("pipeline", "operator", ...); `nearest` holds up to three
    registered names, the closest first.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        known, name = tuple(sorted(known)), str(name)
        self.kind = kind
        self.name = name
        self.nearest = tuple(difflib.get_close_matches(name, known, n=3, cutoff=0.4))
        if self.nearest:
            hint = "did you mean " + " or ".join(repr(near) for near in self.nearest) + "?"
        elif known:
            hint = "known are " + ", ".join(repr(one) for one in known) + "."
        else:
            hint = "none is registered."
        super().__init__("unknown_name", f"There is no {kind} named {name!r}; {hint}")
        self.args = (kind, name, known)


class UnknownOperator(UnknownName, AttributeError):  # type: ignore[misc]
    """A name missing from `embeddings.ops`; also an AttributeError, as `hasattr` expects."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(kind, name, known)
        # AttributeError has a `name` attribute too, and its constructor has just reset it.
        self.name = name
