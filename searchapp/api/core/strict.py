"""Refuse what a request has and no code reads: a slip must never widen what is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

_NAME_LENGTH = 100  # characters of an unknown name that an answer repeats


def refuse_unknown(sent: Iterable[str], known: Collection[str], kind: str = "field") -> None:
    """Refuse names that are not known, and say the nearest one that is.

    Raises:
        ValidationError: its key is the first unknown name.
    """
    for name in sorted(set(sent) - set(known)):
        sentence = f"There is no such {kind}."
        if nearest := get_close_matches(name[:_NAME_LENGTH], known, 1):
            sentence += f" Did you mean '{nearest[0]}'?"
        there = f"There are: {', '.join(known)}." if known else f"There are no {kind}s here."
        raise serializers.ValidationError({name[:_NAME_LENGTH]: [f"{sentence} {there}"]})


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses fields that it does not have, or that only answers have."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            for name, field in self.fields.items():
                if field.read_only and name in data:
                    raise serializers.ValidationError({name: ["This cannot be set."]})
            writable = [name for name, field in self.fields.items() if not field.read_only]
            refuse_unknown((str(name) for name in data), writable)
        return super().to_internal_value(data)


def fields_beside_files(request: Request, name: str = "file") -> Any:
    """Return the body without the files of the field `name`, which a view reads by itself."""
    if not isinstance(request.data, Mapping) or name not in request.FILES:
        return request.data
    return {key: value for key, value in request.data.items() if key != name}


class StrictView(APIView):
    """A view that refuses parameters of the address, and bodies, that it does not read."""

    # What may stand behind the question mark, by method.
    parameters: ClassVar[Mapping[str, Collection[str]]] = {}
    # Methods that read no body, besides GET, HEAD and DELETE.
    without_body: ClassVar[Collection[str]] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # strangers get 401 or 403 first
        method = request.method or ""
        if method == "OPTIONS":
            return
        known = self.parameters.get("GET" if method == "HEAD" else method, ())
        refuse_unknown(request.query_params, known, "parameter")
        if method in ("GET", "HEAD", "DELETE", *self.without_body):
            if isinstance(request.data, Mapping):
                refuse_unknown((str(name) for name in request.data), ())
            elif request.data:
                raise serializers.ValidationError("This request takes no body.")
