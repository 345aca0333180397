"""The indexer's state and its events as HTTP shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load, validate, validates_schema

from app.chain.types.event_list import BLOCK_MAX
from app.core.http.pages import page_schema
from app.core.http.schema import QueryInt, Text, Time, one_of
from app.core.paging import PageQuery


class ContractSetSchema(Schema):
    """How far a contract set is indexed: everything below `next_block`."""

    chain_id = fields.Integer()
    name = fields.String()
    start_block = fields.Integer()
    next_block = fields.Integer()
    tip_at = Time(allow_none=True, metadata={"description": "when the last block read was mined"})
    head_block = fields.Integer(allow_none=True)
    final_block = fields.Integer(allow_none=True, metadata={"description": "nothing up to here is expected to change"})
    lag_blocks = fields.Integer(allow_none=True)
    rewinds = fields.Integer(metadata={"description": "reorgs that reached this set"})
    checked_at = Time()
    halted_at = Time(allow_none=True)
    halted_reason = fields.String(allow_none=True)


class AlarmSchema(Schema):
    """Something about a chain or a node that an operator should see."""

    id = fields.UUID()
    chain_id = fields.Integer()
    contract_set = fields.String()
    kind = fields.String()
    subject = fields.String()
    detail = fields.Dict()
    count = fields.Integer()
    first_at = Time()
    last_at = Time()
    resolved_at = Time(allow_none=True)


class AlarmQuery(PageQuery):
    """Which alarms."""

    state = Text(load_default="open", validate=one_of("open", "all"))


class EventQuery(PageQuery):
    """Which events; beside these, `arg.<name>` for indexed arguments."""

    free_names = "arg."

    protocol = Text(load_default=None, validate=validate.Length(1, 40), metadata={"description": "a file's name"})
    contract = Text(
        load_default=None,
        validate=validate.Length(1, 100),
        metadata={"description": "its name in the file, or address"},
    )
    event = Text(load_default=None, validate=validate.Length(1, 200), metadata={"description": "its name in the ABI"})
    from_block = QueryInt(load_default=None, validate=validate.Range(0, BLOCK_MAX))
    to_block = QueryInt(load_default=None, validate=validate.Range(0, BLOCK_MAX))
    order = Text(load_default="newest", validate=one_of("newest", "oldest"))

    @pre_load
    def without_arguments(self, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Their names are the ABI's: the view reads them."""
        return {name: data[name] for name in data if not name.startswith(self.free_names)}

    @validates_schema
    def in_order(self, data: Mapping[str, Any], **_: Any) -> None:
        """Blocks from the lower to the higher."""
        if None not in (data["from_block"], data["to_block"]) and data["to_block"] < data["from_block"]:
            raise ValidationError("Before from_block.", "to_block")


class Hex(fields.Field[bytes]):
    """Bytes as 0x and hexadecimal digits."""

    def _serialize(self, value: bytes | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else "0x" + value.hex()


class Arguments(fields.Field[Mapping[str, Any]]):
    """Decoded arguments: whole numbers as strings of digits, bytes and addresses as 0x, structs as lists."""

    def _serialize(self, value: Mapping[str, Any] | None, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else {name: plain(one) for name, one in value.items()}


def plain(value: Any) -> Any:
    """A decoded value as JSON has it."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if isinstance(value, bool | str) else str(value)


class EventSchema(Schema):
    """A stored event: its raw words, and what the present ABI makes of them."""

    protocol = fields.String()
    chain_id = fields.Integer()
    contract = fields.String(metadata={"description": "its name in the protocol's file"})
    event = fields.String()
    address = Hex(attribute="log.address")
    block_number = fields.Integer(attribute="log.block_number")
    block_hash = Hex(attribute="log.block_hash")
    mined_at = Time()
    transaction_hash = Hex(attribute="log.transaction_hash")
    transaction_index = fields.Integer(attribute="log.transaction_index")
    log_index = fields.Integer(attribute="log.log_index")
    args = Arguments(allow_none=True, metadata={"description": "by the ABI's names; null where it does not fit"})
    topics = fields.List(Hex(), attribute="log.topics")
    data = Hex(attribute="log.data")
    decode_error = fields.String(allow_none=True, metadata={"description": "what does not fit the ABI"})


EventPage = page_schema(EventSchema)
ContractSetPage = page_schema(ContractSetSchema)
AlarmPage = page_schema(AlarmSchema)
