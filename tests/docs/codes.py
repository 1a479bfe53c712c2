"""Every stable error code in the source, with the statuses that the source gives it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import get_args

from embeddings.errors import ImageErrorCode
from harness.installation import ROOT
from searchapp.services import errors
from searchapp.services.query_rpc import _STATUS

_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
_CLASSES = {
    name: value.status
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.ServiceError)
}
# Calls whose first, second or third argument is a code. (`__init__`: of an error's base.)
_FIRST = {*_CLASSES, "FetchError", "ImageError", "EmbeddingsError", "WeightsError",
          "BundleError", "refusal_payload", "__init__", "SourceError"}  # fmt: skip
_SECOND = {"problem_response", "reject", "fail", "Refusal", "_refused"}
_THIRD = {"Bad", "_give_up"}

Found = dict[str, set[int]]


def codes(*rooms: str) -> Found:
    """Return {code: statuses} of these folders, and of the picture errors of the library.

    A code without a status in the source has none here.
    """
    statuses: Found = defaultdict(set)
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                for code, status in _codes_of(node):
                    statuses[code] |= {status} if status else set()
    for code in get_args(ImageErrorCode):
        statuses[code] |= {errors.BadPicture.status}
    return dict(statuses)


def of_requests() -> Found:
    statuses = codes("searchapp", "worker")
    for code, status in _STATUS.items():
        statuses[code] = statuses.get(code, set()) | {status}
    return statuses


def _text(node: ast.AST | None) -> str | None:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _CODE.fullmatch(node.value)
    ):
        return node.value
    return None


def _number(node: ast.AST | None) -> int:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else 0


def _codes_of(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Call):
        yield from _codes_of_call(node)
    elif isinstance(node, ast.FunctionDef) and "refusal" in node.name:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Tuple) and inner.elts and (code := _text(inner.elts[0])):
                yield code, 0
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _codes_of_assignment(target, node.value)


def _codes_of_call(node: ast.Call) -> Iterator[tuple[str, int]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    status = _number(keywords.get("status")) or _CLASSES.get(name, 0)
    if name == "FetchError":
        status = errors.BadPicture.status
    if name in _FIRST and node.args and (code := _text(node.args[0])):
        # What _STATUS says of a worker's refusal comes before the kind of the error.
        yield code, 0 if code in _STATUS and name == "FetchError" else status
    if name in _SECOND and len(node.args) > 1 and (code := _text(node.args[1])):
        yield code, _number(node.args[0])
    if name in _THIRD and len(node.args) > 2 and (code := _text(node.args[2])):
        yield code, 0
    if name == "denied" and len(node.args) > 2 and (code := _text(node.args[2])):
        yield code, 403
    if name == "_page" and len(node.args) > 2 and (code := _text(node.args[2])):
        yield code, _number(node.args[1])
    if isinstance(refusal := keywords.get("refusal"), ast.Tuple) and (
        code := _text(refusal.elts[0])
    ):
        yield code, 0
    for keyword in ("code", "error_code"):
        if code := _text(keywords.get(keyword)):
            yield code, {"AuthenticationFailed": 401, "PermissionDenied": 403}.get(name, 0)


def _codes_of_assignment(target: ast.AST, value: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(target, ast.Name) and target.id == "code" and (code := _text(value)):
        yield code, 0
    is_refusal = isinstance(target, ast.Name) and target.id == "refusal"
    if is_refusal and isinstance(value, ast.Tuple) and (code := _text(value.elts[0])):
        yield code, 0
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = {
            getattr(name, "id", ""): item
            for name, item in zip(target.elts, value.elts, strict=True)
        }
        if code := _text(pairs.get("code")):
            yield code, _number(pairs.get("status"))
