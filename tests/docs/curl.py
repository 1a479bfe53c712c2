"""Carry out the documentation's curl commands without curl, which not every machine has."""

from __future__ import annotations

import json
import mimetypes
import re
import shlex
from contextlib import ExitStack
from typing import Any

import requests

from harness.installation import ROOT


def commands(block: str) -> list[str]:
    """The curl commands of a shell block, each on one line."""
    lines = block.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("curl ")]


def carry_out(command: str, variables: dict[str, str]) -> requests.Response:
    """Send what `command` would send; KeyError for a variable that has no value yet."""
    quoted = re.sub(r"'[^']*'", lambda match: match[0].replace("$", "\0"), command)
    filled = re.sub(r"\$(\w+)", lambda match: variables[match[1]], quoted).replace("\0", "$")
    _, *words = shlex.split(filled)
    method, address, body = "", "", None
    binary: bytes | None = None
    headers: dict[str, str] = {}
    fields: dict[str, str] = {}
    files: list[tuple[str, Any]] = []
    with ExitStack() as opened:
        while words:
            word = words.pop(0)
            if word == "-X":
                method = words.pop(0)
            elif word == "-I":
                method = "HEAD"
            elif word == "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            elif word == "--data":
                body = words.pop(0)
                json.loads(body)
            elif word == "--data-binary":
                binary = (ROOT / words.pop(0).removeprefix("@")).read_bytes()
            elif word == "-F":
                name, _, value = words.pop(0).partition("=")
                if value.startswith("@"):
                    path = ROOT / value[1:]
                    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                    files.append((name, (path.name, opened.enter_context(path.open("rb")), kind)))
                else:
                    fields[name] = value
            else:
                assert not word.startswith("-"), f"an option that this module does not know: {word}"
                address = word
        return requests.request(
            method or ("POST" if body or fields or files else "GET"),
            address,
            headers=headers,
            data=binary or body or fields,
            files=files or None,
            timeout=60,
        )


def same_shape(documented: Any, real: Any, where: str = "") -> None:
    """Fail where a documented answer has other members or kinds than the real one."""
    if documented is None or real is None:
        return
    if isinstance(documented, dict) and where.split(".")[-1] != "metadata":
        assert isinstance(real, dict), where
        assert set(documented) == set(real), where
        for name, value in documented.items():
            same_shape(value, real[name], f"{where}.{name}")
    elif isinstance(documented, list):
        assert isinstance(real, list), where
        for one, other in zip(documented, real, strict=False):
            same_shape(one, other, f"{where}[]")
    else:
        assert type(documented) is type(real), where
