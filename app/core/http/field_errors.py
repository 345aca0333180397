"""Marshmallow's nested messages as a flat list of fields with pointers. Imports no Flask: workers check parameters
too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.core.errors import FieldError


def field_errors(messages: Any, prefix: str = "") -> list[FieldError]:
    """Marshmallow's nested messages as a flat list with JSON pointers; `prefix` is where the document hangs."""
    return list(_flatten(messages, prefix))


def query_errors(messages: Mapping[str, Any]) -> list[FieldError]:
    """The same for a query string, where a field is named `?limit`."""
    return [
        {"pointer": "?" + str(name), "detail": error["detail"]}
        for name, inner in messages.items()
        for error in _flatten(inner, "")
    ]


def _flatten(messages: Any, pointer: str) -> Iterator[FieldError]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            # Marshmallow files what concerns a whole object under `_schema`.
            step = "" if key == "_schema" else "/" + str(key).replace("~", "~0").replace("/", "~1")
            yield from _flatten(inner, pointer + step)
    elif isinstance(messages, Sequence) and not isinstance(messages, str):
        for inner in messages:
            yield from _flatten(inner, pointer)
    else:
        yield {"pointer": pointer, "detail": str(messages)}
