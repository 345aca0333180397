"""The indexer's, the transactions' and the signers' state, and the events, as HTTP shows them. Wei are digits in a
string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load, validate, validates_schema

from app.chain.types.event_list import BLOCK_MAX
from app.chain.types.transactions import AttemptOutcome, Effect, IntentStatus
from app.core.http.pages import page_schema
from app.core.http.schema import Address, QueryInt, Text, Time, WholeString, one_of
from app.core.paging import PageQuery


class Hex(fields.Field[bytes]):
    """Bytes as 0x and hexadecimal digits; for output."""

    def _serialize(self, value: bytes | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else "0x" + value.hex()


def hex_bytes(meaning: str, **options: Any) -> Hex:
    """Bytes, documented as text."""
    return Hex(metadata={"type": "string", "description": meaning}, **options)


def wei(meaning: str, **options: Any) -> WholeString:
    """An amount in wei, documented as text."""
    return WholeString(metadata={"type": "string", "description": meaning}, **options)


def is_address(text: str) -> bool:
    """True for 0x and 40 hexadecimal digits."""
    return re.fullmatch(Address.LOOK, text) is not None


class ContractSetSchema(Schema):
    """How far a contract set is indexed: everything from `start_block` to below `next_block`."""

    chain_id = fields.Integer()
    name = fields.String()
    start_block = fields.Integer()
    next_block = fields.Integer()
    tip_at = Time(allow_none=True, metadata={"description": "when the last block read was mined"})
    head_block = fields.Integer(allow_none=True)
    final_block = fields.Integer(allow_none=True, metadata={"description": "nothing up to here is expected to change"})
    lag_blocks = fields.Integer(allow_none=True)
    history_complete = fields.Boolean(
        metadata={"description": "false while a back-fill reads below `start_block`; nothing folded is served then"}
    )
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


class AuditSchema(Schema):
    """A range of final blocks that was read once more and compared with the rows."""

    id = fields.UUID()
    chain_id = fields.Integer()
    contract_set = fields.String()
    first_block = fields.Integer()
    last_block = fields.Integer()
    provider = fields.String(metadata={"description": "who was asked"})
    method = fields.String(metadata={"description": "`second_provider`, or `receipts` where there is one only"})
    rows_missing = fields.Integer(metadata={"description": "events of the chain that were not in the tables"})
    rows_extra = fields.Integer(metadata={"description": "rows the chain has not; they stay for an operator"})
    rows_repaired = fields.Integer()
    calls = fields.Integer(metadata={"description": "what the audit asked of the provider"})
    audited_at = Time()


class AuditQuery(PageQuery):
    """Which audits."""

    found = Text(load_default="all", validate=one_of("all", "differences"))


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


class TransactionSchema(Schema):
    """One effect wanted on the chain; at most one of its attempts is ever mined."""

    id = fields.UUID()
    chain_id = fields.Integer()
    signer = hex_bytes("who sends it")
    action = fields.String(metadata={"description": "what for; one transaction is live for an action and a subject"})
    subject = fields.String()
    purpose = fields.String(metadata={"description": "the same in words"})
    to = hex_bytes("the contract that is called")
    value_wei = wei("sent with the call")
    status = fields.String(validate=validate.OneOf(list(IntentStatus)))
    nonce = fields.Integer(allow_none=True, metadata={"description": "null while it has none"})
    gas_ceiling = fields.Integer(allow_none=True, metadata={"description": "needing more it is not sent"})
    gas_limit = fields.Integer(allow_none=True)
    fee_cap_wei = wei("the most for a unit of gas; null: the chain's", allow_none=True)
    max_cost_wei = wei("the most it may take from the signer", allow_none=True)
    spent_wei = wei("what it took, once it has ended", allow_none=True)
    cancel_reason = fields.String(allow_none=True, metadata={"description": "why its nonce is to be used for nothing"})
    error = fields.Dict(allow_none=True, metadata={"description": "what holds it up, or why it ended"})
    transaction_hash = hex_bytes("of the attempt that was mined", allow_none=True)
    block_number = fields.Integer(allow_none=True)
    block_hash = hex_bytes("of the block it is in", allow_none=True)
    receipt_status = fields.Integer(allow_none=True, metadata={"description": "1; 0: it reverted"})
    job_id = fields.UUID(allow_none=True)
    expires_at = Time(allow_none=True, metadata={"description": "after this it is no longer sent"})
    created_at = Time()
    updated_at = Time(metadata={"description": "when it last moved"})
    finished_at = Time(allow_none=True)


class AttemptSchema(Schema):
    """One signed transaction."""

    number = fields.Integer()
    hash = hex_bytes("by which the chain knows it")
    nonce = fields.Integer()
    effect = fields.String(validate=validate.OneOf(list(Effect)), metadata={"description": "`cancel`: does nothing"})
    outcome = fields.String(validate=validate.OneOf(list(AttemptOutcome)))
    gas_limit = fields.Integer()
    max_fee_wei = wei("for a unit of gas; on a chain without a base fee, the gas price", attribute="fees.max_fee_wei")
    tip_wei = wei("of that, the tip; null without a base fee", attribute="fees.tip_wei", allow_none=True)
    refusal = fields.String(allow_none=True, metadata={"description": "the code of what a node last said to it"})
    created_at = Time(metadata={"description": "when it was signed"})
    first_broadcast_at = Time(allow_none=True)
    last_broadcast_at = Time(allow_none=True)


class TransactionDetailSchema(TransactionSchema):
    """A transaction, its call data, and everything that was signed for it, oldest first."""

    data = hex_bytes("what the contract is called with")
    attempts = fields.List(fields.Nested(AttemptSchema))


class TransactionQuery(PageQuery):
    """Which transactions."""

    status = Text(load_default=None, validate=one_of(*IntentStatus))
    action = Text(load_default=None, validate=validate.Length(1, 200))
    subject = Text(load_default=None, validate=validate.Length(1, 200))
    signer = Address(load_default=None)


class SignerSchema(Schema):
    """A key that sends. `hour`: within the last hour, or since the breaker's last reset."""

    chain_id = fields.Integer(attribute="row.chain_id")
    address = hex_bytes("of its account", attribute="row.address")
    next_nonce = fields.Integer(attribute="row.next_nonce")
    seen_block = fields.Integer(attribute="row.seen_block", metadata={"description": "the highest head seen"})
    halted_at = Time(attribute="row.halted_at", allow_none=True)
    halt_reason = fields.String(attribute="row.halt_reason", allow_none=True)
    breaker_opened_at = Time(attribute="row.breaker_opened_at", allow_none=True)
    breaker_reason = fields.String(attribute="row.breaker_reason", allow_none=True)
    breaker_reset_at = Time(attribute="row.breaker_reset_at", allow_none=True)
    live_transactions = fields.Integer(attribute="row.transactions")
    oldest_live_at = Time(attribute="row.oldest_at", allow_none=True)
    spent_hour_wei = wei("by what has ended", attribute="ledger.spent_wei")
    committed_wei = wei("the most that live transactions may still take", attribute="ledger.committed_wei")
    mined_hour = fields.Integer(attribute="ledger.mined")
    reverted_hour = fields.Integer(attribute="ledger.reverted")
    created_at = Time(attribute="row.created_at")


class SignersSchema(Schema):
    """Every signer."""

    data = fields.List(fields.Nested(SignerSchema))


ContractSetPage = page_schema(ContractSetSchema)
AlarmPage = page_schema(AlarmSchema)
AuditPage = page_schema(AuditSchema)
TransactionPage = page_schema(TransactionSchema)
EventPage = page_schema(EventSchema)
