"""The chain's job kinds."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validate, validates_schema

from app.core.http.schema import Int, StrictSchema, Text
from app.jobs.types import JobKind, Queue

MAX_NAME = 40


class IndexHeadParams(StrictSchema):
    """Which contract set: the name of its protocol file."""

    contract_set = Text(required=True, validate=validate.Length(1, MAX_NAME))


class BackfillParams(StrictSchema):
    """Which blocks of which contract set to read, both ends counted in."""

    contract_set = Text(required=True, validate=validate.Length(1, MAX_NAME))
    from_block = Int(required=True, validate=validate.Range(0))
    to_block = Int(required=True, validate=validate.Range(0))

    @validates_schema
    def _in_order(self, data: dict[str, Any], **_: Any) -> None:
        if data["to_block"] < data["from_block"]:
            raise ValidationError("Ends before it starts.", "to_block")


class PlanBackfillParams(StrictSchema):
    """Which contract set's history to read in parallel, and in how large pieces."""

    contract_set = Text(required=True, validate=validate.Length(1, MAX_NAME))
    chunk_blocks = Int(
        load_default=10_000,
        validate=validate.Range(1),
        metadata={"description": "blocks that one job reads; larger where there would be more than a thousand jobs"},
    )


class AuditParams(StrictSchema):
    """Which contract set's rows to hold against the chain again."""

    contract_set = Text(required=True, validate=validate.Length(1, MAX_NAME))


class WatchParams(StrictSchema):
    """Nothing to say: one deployment has one signer."""


INDEX_HEAD = JobKind(
    name="chain.index_head",
    summary="Read a contract set's events from where it stands to the chain's head, and heal what a reorg undid.",
    params=IndexHeadParams,
    queue=Queue.CHAIN,
    scope="chain:write",
    timeout_seconds=120,
    max_attempts=3,
    backoff_seconds=1.0,
    backoff_cap_seconds=10.0,
    overlap_key=lambda params: f"index:{params['contract_set']}:head",
)

BACKFILL = JobKind(
    name="chain.backfill",
    summary="Read a range of final blocks: rows that are missing are added, those there stay as they are.",
    params=BackfillParams,
    queue=Queue.BULK,
    scope="chain:write",
    timeout_seconds=3600,
    max_attempts=20,
    backoff_seconds=5.0,
    overlap_key=lambda params: f"backfill:{params['contract_set']}:{params['from_block']}-{params['to_block']}",
)

PLAN_BACKFILL = JobKind(
    name="chain.plan_backfill",
    summary="Let the live head go on at the last final block, and read what lies below it by parallel jobs.",
    params=PlanBackfillParams,
    queue=Queue.BULK,
    scope="chain:write",
    timeout_seconds=600,
    max_attempts=20,
    backoff_seconds=5.0,
    overlap_key=lambda params: f"backfill:{params['contract_set']}:plan",
)

WATCH_TRANSACTIONS = JobKind(
    name="chain.watch_transactions",
    summary="Look at every live transaction: receipts, depth, reorgs, replacements, forgotten ones, gaps.",
    params=WatchParams,
    queue=Queue.LIQUIDATION,
    scope="chain:write",
    timeout_seconds=60,
    max_attempts=2,
    backoff_seconds=1.0,
    overlap_key=lambda params: "watch_transactions",
)

AUDIT_RANGES = JobKind(
    name="chain.audit_ranges",
    summary="Read the next range of final blocks once more, by a second provider or receipts; repair what differs.",
    params=AuditParams,
    queue=Queue.BULK,
    scope="chain:write",
    timeout_seconds=600,
    max_attempts=3,
    backoff_seconds=5.0,
    overlap_key=lambda params: f"audit:{params['contract_set']}",
)

MENU = (INDEX_HEAD, PLAN_BACKFILL, BACKFILL, AUDIT_RANGES, WATCH_TRANSACTIONS)
