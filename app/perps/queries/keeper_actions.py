"""Statements on what the keeper planned, and how long each step took."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Table, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.perps.models import PerpsKeeperAction
from app.perps.types.keeper import KeeperAction

TABLE: Table = PerpsKeeperAction.__table__  # type: ignore[assignment]

# The oldest of those that have not ended, a row for each effect on their key, with when its block was mined: which of
# them is the action's own, its transaction says.
LIVE = text(
    """
    SELECT a.intent_id, a.broadcast_at, coalesce(l.liquidated_at, o.changed_at) AS included_at,
           coalesce(l.transaction_hash, o.transaction_hash) AS transaction_hash
    FROM perps_keeper_actions a
    LEFT JOIN perps_liquidations l
      ON a.action = 'liquidate' AND l.protocol = a.protocol AND l.position_key = a.key
    LEFT JOIN perps_orders o
      ON a.action = 'execute_order' AND o.protocol = a.protocol AND o.key = a.key AND o.status = 'executed'
    WHERE a.protocol = :protocol AND a.outcome IS NULL
    ORDER BY a.detected_at, a.intent_id
    LIMIT :limit
    """
)

UNFINISHED = text(
    """
    SELECT key FROM perps_keeper_actions
    WHERE protocol = :protocol AND action = :action AND outcome IS NULL AND detected_at >= :since
    """
)

FOLLOW = text(
    """
    UPDATE perps_keeper_actions
    SET broadcast_at = :broadcast_at, included_at = :included_at, block_number = :block_number, outcome = :outcome
    WHERE intent_id = :intent_id
    """
)


def add(session: Session, action: KeeperAction) -> None:
    """Note what was planned; an intent that is noted already stays as it is."""
    values = {column.name: getattr(action, column.name) for column in TABLE.columns}
    session.execute(insert(TABLE).on_conflict_do_nothing(), values)


def list_live(session: Session, protocol: str, limit: int) -> Sequence[Row[Any]]:
    """The protocol's actions that have not ended, the oldest first, with their effect as far as it is indexed."""
    return session.execute(LIVE, {"protocol": protocol, "limit": limit}).all()


def unfinished_keys(session: Session, protocol: str, action: str, *, since: datetime) -> set[str]:
    """The keys of the action's transactions that have not ended, detected since then. O(live)."""
    return set(session.execute(UNFINISHED, {"protocol": protocol, "action": action, "since": since}).scalars())


def follow(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Write what has become known; `rows` by the statement's names."""
    if rows:
        session.execute(FOLLOW, rows)


def list_page(
    session: Session, *, protocol: str | None, action: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[KeeperAction]:
    """The newest first, by when they were detected. O(limit) without a filter, else O(rows passed over)."""
    statement = select(TABLE).order_by(TABLE.c.detected_at.desc(), TABLE.c.intent_id.desc()).limit(limit)
    if protocol is not None:
        statement = statement.where(TABLE.c.protocol == protocol)
    if action is not None:
        statement = statement.where(TABLE.c.action == action)
    if before is not None:
        statement = statement.where(tuple_(TABLE.c.detected_at, TABLE.c.intent_id) < before)
    return [KeeperAction(**row._mapping) for row in session.execute(statement)]
