"""Aggregates with their inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.clock import rfc3339
from app.oracle.models import OracleAggregate
from app.oracle.types.sources import Aggregate, AggregateState, Candidate, Flaw, NoPrice

# The newest row of each symbol: one step down an index a symbol and partition. The bound leaves older partitions out.
LATEST = text(
    """
    SELECT a.symbol, a.as_of, a.price, a.confidence, a.reason, a.sources, a.last, a.last_at, a.ema, a.pending
    FROM unnest(CAST(:symbols AS text[])) AS s(symbol)
    CROSS JOIN LATERAL (
        SELECT * FROM oracle_aggregates
        WHERE symbol = s.symbol AND as_of >= :since
        ORDER BY as_of DESC LIMIT 1
    ) AS a
    """
)


def latest_aggregates(session: Session, symbols: Collection[str], since: datetime) -> Mapping[str, Aggregate]:
    """Each symbol's newest aggregate not older than `since`. O(symbols · partitions since)."""
    rows = session.execute(LATEST, {"symbols": list(symbols), "since": since})
    return {row.symbol: _aggregate(row) for row in rows}


def add_aggregate(session: Session, aggregate: Aggregate) -> None:
    """Add a round's outcome; one of the same moment stays as it is."""
    state = aggregate.state
    session.execute(
        insert(OracleAggregate)
        .values(
            symbol=aggregate.symbol,
            as_of=aggregate.as_of,
            price=aggregate.price_wad,
            confidence=aggregate.confidence_wad,
            reason=aggregate.reason,
            sources=[_stored(one) for one in aggregate.sources],
            last=state.last_wad,
            last_at=state.last_at,
            ema=state.ema_wad,
            pending=state.pending_wad,
        )
        .on_conflict_do_nothing()
    )


def _stored(one: Candidate) -> dict[str, Any]:
    return {
        "source": one.source,
        "price_wad": None if one.price_wad is None else str(one.price_wad),
        "confidence_wad": str(one.confidence_wad),
        "observed_at": None if one.observed_at is None else rfc3339(one.observed_at),
        "heartbeat_seconds": one.heartbeat_seconds,
        "weight": one.weight,
        "used": one.used,
        "flaw": one.flaw,
    }


def _candidate(stored: Mapping[str, Any]) -> Candidate:
    observed_at, price, flaw = stored["observed_at"], stored["price_wad"], stored["flaw"]
    return Candidate(
        source=stored["source"],
        price_wad=None if price is None else int(price),
        confidence_wad=int(stored["confidence_wad"]),
        observed_at=None if observed_at is None else datetime.fromisoformat(observed_at),
        heartbeat_seconds=stored["heartbeat_seconds"],
        weight=stored["weight"],
        used=stored["used"],
        flaw=None if flaw is None else Flaw(flaw),
    )


def _aggregate(row: Row[Any]) -> Aggregate:
    return Aggregate(
        symbol=row.symbol,
        as_of=row.as_of,
        price_wad=_whole(row.price),
        confidence_wad=_whole(row.confidence),
        reason=None if row.reason is None else NoPrice(row.reason),
        sources=tuple(_candidate(stored) for stored in row.sources),
        state=AggregateState(_whole(row.last), row.last_at, _whole(row.ema), _whole(row.pending)),
    )


def _whole(value: Decimal | None) -> int | None:
    return None if value is None else int(value)
