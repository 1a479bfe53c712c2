"""Validation of paths before reading."""

import os

from embeddings.errors import InputError


def existing_file(path: str | os.PathLike[str]) -> str:
    """The path as text. Raises `InputError` when there is no such file."""
    text = path_text(path)
    if os.path.isdir(text):
        raise InputError(f"{text!r} is a folder; give the path of a file.")
    if not os.path.exists(text):
        raise InputError(f"There is no file {text!r}.")
    return text


def path_text(path: str | os.PathLike[str]) -> str:
    """The path as text. Raises `InputError` when it is not a path, or empty."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"A path is text or a Path, not {type(path).__name__}.")
    text = os.fspath(path)
    if not isinstance(text, str):
        raise InputError(f"A path is text, not bytes: {text!r}.")
    if not text:
        raise InputError("The path is empty; give the path of a file.")
    if "\0" in text:
        raise InputError(f"{text!r} can be no path of a file: it holds a NUL character.")
    return text
