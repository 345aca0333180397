"""Keyset pages: a list is read from a cursor onwards by its sort key, so that a page costs the same however far down.

A cursor is opaque: base64url over a checksum and the sort key of the last row given out. It is checked strictly, and is
good for its own list only. It holds no secret and grants nothing: whoever forges one only names another place to start.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

from marshmallow import ValidationError, validate

from app.core.clock import rfc3339
from app.core.errors import InvalidInput
from app.core.http.schema import INT64_MAX, DecimalString, QueryInt, StrictSchema, Text, Time

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR = 500
CHECKSUM_BYTES = 6

T = TypeVar("T")
Key = tuple[Any, ...]
Kinds = tuple[type, ...]


class PageQuery(StrictSchema):
    """The two parameters of every list; a list's own filters are added by subclassing."""

    limit = QueryInt(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    cursor = Text(load_default=None, validate=validate.Length(1, MAX_CURSOR))


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows, and where the next ones start; `next_cursor` is None on the last page."""

    items: Sequence[T]
    next_cursor: str | None


def page_of(rows: Sequence[T], *, limit: int, listing: str, key: Callable[[T], Key]) -> Page[T]:
    """The page of `rows`, which the query read with `limit + 1`: the extra row only tells that there is more."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], encode_cursor(listing, key(rows[limit - 1])))


def encode_cursor(listing: str, key: Key) -> str:
    """The cursor that continues `listing` after the row whose sort key is `key`."""
    payload = json.dumps([_to_json(value) for value in key], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_checksum(listing, payload) + payload).rstrip(b"=").decode()


def decode_cursor(listing: str, kinds: Kinds, cursor: str | None) -> Key | None:
    """The sort key in `cursor`, or None without one; raises InvalidInput naming `?cursor` for any other text.

    `kinds` are the key's types in order: UUID, datetime, int, Decimal or str.
    """
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = json.loads(raw[CHECKSUM_BYTES:])
        key = tuple(_READERS[kind](value) for kind, value in zip(kinds, values, strict=True))
        if encode_cursor(listing, key) != cursor:  # which compares the checksum too
            raise ValueError("not as we write it")
    except (ValueError, TypeError, AttributeError, RecursionError, ValidationError) as error:
        raise InvalidInput(errors=[{"pointer": "?cursor", "detail": "Not a cursor of this list."}]) from error
    return key


def _checksum(listing: str, payload: bytes) -> bytes:
    return hashlib.sha256(listing.encode() + b"\x00" + payload).digest()[:CHECKSUM_BYTES]


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, UUID) else value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INT64_MAX:
        raise ValueError("not an integer")
    return value


_READERS: dict[type, Callable[[Any], Any]] = {
    UUID: UUID,
    datetime: Time().deserialize,
    int: _integer,
    Decimal: DecimalString().deserialize,
    str: Text().deserialize,
}
