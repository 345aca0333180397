"""The one base schema: strict types, no NUL, unknown fields refused. Imports no Flask: job menus use it too."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, TypeVar

from marshmallow import RAISE, Schema, ValidationError, fields, validate

MAX_TEXT = 10_000
_WHOLE = "^-?(0|[1-9][0-9]{0,77})$"
INT64_MAX = 2**63 - 1


S = TypeVar("S", bound=Schema)


@cache
def shared(schema: type[S]) -> S:
    """The one instance of a schema class: each new one copies every field, and loading and dumping change none."""
    return schema()


class StrictSchema(Schema):
    """Base of every body, query and parameter schema.

    `free_names`: how query parameters begin whose names nobody knows beforehand; the view reads those itself.
    """

    free_names: ClassVar[str | None] = None

    class Meta:
        unknown = RAISE
        ordered = True


class Text(fields.String):
    """A string without NUL (Postgres cannot store one) and of bounded length."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if "\x00" in text:
            raise ValidationError("Must not contain a NUL character.")
        if len(text) > MAX_TEXT:
            raise ValidationError(f"Longer than {MAX_TEXT} characters.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValidationError("Not valid UTF-8.") from error
        return text


class Int(fields.Integer):
    """A JSON integer: `"12"`, `1.5` and `true` are refused, and so is what Postgres's bigint cannot hold."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("Not a valid integer.")
        if not -INT64_MAX - 1 <= value <= INT64_MAX:
            raise ValidationError("Beyond 64 bits.")
        return value


class QueryInt(fields.Integer):
    """An integer in a query string, where everything is text: plain digits only."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch(_WHOLE, value):
            raise ValidationError("Not a valid integer.")
        number = int(value)
        if not -INT64_MAX - 1 <= number <= INT64_MAX:
            raise ValidationError("Beyond 64 bits.")
        return number


class Bool(fields.Boolean):
    """A JSON boolean, and nothing that merely looks like one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not a valid boolean.")
        return value


class Address(Text):
    """An EVM address; given out in lower case, whatever the case it came in."""

    LOOK = "^0x[0-9a-fA-F]{40}$"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not re.fullmatch(self.LOOK, text):
            raise ValidationError("Not an address: 0x and 40 hexadecimal digits.")
        return text.lower()


class Hash32(Text):
    """Thirty-two bytes as 0x and 64 hexadecimal digits (a block hash, a price id)."""

    LOOK = "^0x[0-9a-fA-F]{64}$"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not re.fullmatch(self.LOOK, text):
            raise ValidationError("Not a hash: 0x and 64 hexadecimal digits.")
        return text.lower()


class WholeString(fields.Field[int]):
    """An integer of any size, as a string of digits: wei, wad, ray."""

    LOOK = _WHOLE

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch(_WHOLE, value):
            raise ValidationError("Not an integer in a string.")
        return int(value)

    def _serialize(self, value: int | Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else str(int(value))


class DecimalString(fields.Field[Decimal]):
    """A decimal as a plain string, never in exponent form: `1234.5`. For output and for input."""

    LOOK = "^-?[0-9]{1,60}(\\.[0-9]{1,40})?$"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Decimal:
        if not isinstance(value, str) or not re.fullmatch(self.LOOK, value):
            raise ValidationError("Not a decimal in a string.")
        return Decimal(value)

    def _serialize(self, value: Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else format(value, "f")


class Time(fields.Field[datetime]):
    """RFC 3339 with a zone; given out in UTC with `Z`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or len(value) < 20 or value[10] not in "Tt":
            raise ValidationError("Not an RFC 3339 time.")
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValidationError("Not an RFC 3339 time.") from error
        if moment.tzinfo is None:
            raise ValidationError("A time zone is missing.")
        try:
            moment = moment.astimezone(UTC)
        except OverflowError as error:
            raise ValidationError("Not an RFC 3339 time.") from error
        if not 1970 <= moment.year <= 9998:
            raise ValidationError("Out of range.")
        return moment

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def look_of(_converter: Any, field: fields.Field[Any], **_: Any) -> dict[str, str]:
    """For the makers of documents: the pattern of a field whose class has one, `LOOK`."""
    look: str | None = getattr(field, "LOOK", None)
    return {"pattern": look} if look else {}


def one_of(*choices: str) -> validate.OneOf:
    """A field's closed list of words."""
    return validate.OneOf(choices)
