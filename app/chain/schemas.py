"""The indexer's state as HTTP shows it."""

from __future__ import annotations

from marshmallow import Schema, fields

from app.core.http.pages import page_schema
from app.core.http.schema import Text, Time, one_of
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


ContractSetPage = page_schema(ContractSetSchema)
AlarmPage = page_schema(AlarmSchema)
AuditPage = page_schema(AuditSchema)
