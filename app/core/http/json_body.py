"""Reading a JSON body strictly: no two readings of one document, and nothing that Postgres cannot store.

Refused: duplicate keys, NaN and infinities (also `1e999`), numbers and nesting beyond reason, NUL characters and lone
surrogates anywhere. Imports no Flask.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from app.core.errors import BadRequest, FieldError, InvalidInput

MAX_DEPTH = 64
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
# Raw control characters and invalid UTF-8 never pass the parser, so only an escape can bring these in.
_SUSPICIOUS = re.compile(r"\\u(0000|d[89a-f])", re.IGNORECASE)


def parse_json(raw: bytes) -> Any:
    """The document in `raw`; raises BadRequest when it is not strict JSON, InvalidInput for unstorable text."""
    try:
        text = raw.decode("utf-8")
        if _is_too_deep(text):
            raise BadRequest("The JSON is nested too deeply.")
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except ValueError as error:
        raise BadRequest(f"The body is not valid JSON: {_reason(error)}.") from error
    if _SUSPICIOUS.search(text):
        found = list(_unstorable(document, ""))
        if found:
            raise InvalidInput(errors=found)
    return document


def _is_too_deep(text: str) -> bool:
    """Whether brackets nest beyond MAX_DEPTH: the parser recurses, and a raised recursion limit lets it crash."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _BRACKETS.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token[0] in "]}":
            depth -= 1
    return False


class _NotStrict(ValueError):
    """The JSON is well formed and still refused."""


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno} column {error.colno}"
    if isinstance(error, _NotStrict):
        return str(error)
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else "a number is too long"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotStrict("an object names the same key twice")
    return found


def _refuse_constant(_word: str) -> float:
    raise _NotStrict("NaN and Infinity are not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NotStrict("a number is too large")
    return number


def _unstorable(value: Any, pointer: str) -> Iterator[FieldError]:
    """Every string with a NUL or half a surrogate pair, values and keys alike."""
    if isinstance(value, str):
        if "\x00" in value:
            yield {"pointer": pointer, "detail": "Must not contain a NUL character."}
        elif any("\ud800" <= letter <= "\udfff" for letter in value):
            yield {"pointer": pointer, "detail": "Not valid UTF-8."}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unstorable(item, f"{pointer}/{index}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _unstorable(key, pointer)
            yield from _unstorable(item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
