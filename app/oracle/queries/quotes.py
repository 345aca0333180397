"""What the sources beside Pyth last said, and what the sequencer's feed did. O(rows) each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.oracle.models import OracleQuote, OracleSequencer
from app.oracle.types.sources import Flaw, Reading, Uptime

# One writer at a time decides what stands of a source; who comes second sees what the first one wrote.
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('oracle_quotes'))")


def lock_quotes(session: Session) -> None:
    """Let nobody else write quotes until the transaction ends."""
    session.execute(LOCK)


def quotes_by_source(session: Session) -> Mapping[tuple[str, str], Reading]:
    """What stands of every (symbol, source)."""
    found = session.scalars(select(OracleQuote).execution_options(populate_existing=True))
    return {(row.symbol, row.source): _reading(row) for row in found}


def put_quotes(session: Session, readings: Sequence[Reading], asked_at: datetime) -> None:
    """Write what stands now."""
    if not readings:
        return
    statement = insert(OracleQuote).values(
        [
            {
                "symbol": one.symbol,
                "source": one.source,
                "price": one.price,
                "confidence": one.confidence,
                "observed_at": one.observed_at,
                "round_id": one.round_id,
                "flaw": one.flaw,
                "asked_at": asked_at,
            }
            for one in readings
        ]
    )
    told = ("price", "confidence", "observed_at", "round_id", "flaw", "asked_at")
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["symbol", "source"], set_={name: statement.excluded[name] for name in told}
        )
    )


def forget_quotes_but(session: Session, kept: Collection[tuple[str, str]]) -> None:
    """Delete what sources said that are asked no more; `kept` are the (symbol, source) that are."""
    place = tuple_(OracleQuote.symbol, OracleQuote.source)
    session.execute(delete(OracleQuote).where(place.not_in(list(kept))))


def find_uptime(session: Session, chain_id: int) -> Uptime | None:
    """What the chain's sequencer-uptime feed last said; None when it never did."""
    row = session.get(OracleSequencer, chain_id, populate_existing=True)
    return None if row is None else Uptime(row.up, row.since, row.asked_at)


def put_uptime(session: Session, chain_id: int, uptime: Uptime) -> None:
    """Write what it says now."""
    values = {"up": uptime.up, "since": uptime.since, "asked_at": uptime.asked_at}
    statement = insert(OracleSequencer).values(chain_id=chain_id, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["chain_id"], set_=values))


def _reading(row: OracleQuote) -> Reading:
    return Reading(
        symbol=row.symbol,
        source=row.source,
        price=row.price,
        confidence=row.confidence,
        observed_at=row.observed_at,
        round_id=None if row.round_id is None else int(row.round_id),
        flaw=None if row.flaw is None else Flaw(row.flaw),
    )
