"""What the folds have told, beside what is in the tables: a stream's reader must end with the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.jobs.queries import outbox
from app.perps.models import PerpsLiquidation, PerpsPosition
from app.perps.queries.liquidations import as_liquidation
from app.perps.queries.markets import list_markets
from app.perps.queries.positions import as_position
from app.perps.services.shown import show_liquidation, show_recorded_market, show_recorded_position
from app.perps.types.positions import PositionStatus

Told = dict[tuple[str, str], Any]


def latest(session: Session) -> Told:
    """The subjects' latest, once everything that was told is numbered."""
    assert outbox.number_new(session, 1_000_000)
    rows = session.execute(text("SELECT topic, subject, payload FROM outbox_latest WHERE topic <> 'prices'"))
    return {(row.topic, row.subject): row.payload for row in rows}


def present(session: Session) -> Told:
    """The markets and the open positions of the tables, as they are told."""
    rows = session.execute(select(PerpsPosition.__table__).where(PerpsPosition.status == PositionStatus.OPEN))
    positions = [as_position(row) for row in rows]
    return {
        ("markets", f"{one.protocol}:{one.market_id}"): show_recorded_market(one) for one in list_markets(session)
    } | {
        (f"positions:0x{one.owner.hex()}", f"{one.protocol}:{one.key}"): show_recorded_position(one)
        for one in positions
    }


def liquidations_told(session: Session) -> list[Any]:
    """Those that were told and not taken back."""
    rows = session.execute(text("SELECT payload FROM outbox WHERE topic = 'liquidations' ORDER BY place"))
    standing: list[Any] = []
    for payload in rows.scalars():
        one = {name: value for name, value in payload.items() if name != "removed"}
        if payload["removed"]:
            standing.remove(one)
        else:
            assert one not in standing, "a liquidation was told twice"
            standing.append(one)
    return in_order(standing)


def liquidations_present(session: Session) -> list[Any]:
    rows = session.execute(select(PerpsLiquidation.__table__))
    return in_order([show_liquidation(as_liquidation(row)) for row in rows])


def in_order(found: list[Any]) -> list[Any]:
    return sorted(found, key=lambda one: (one["place"]["block_number"], one["place"]["log_index"]))


def assert_told(session: Session) -> None:
    """Whoever listened to everything knows what the tables know."""
    assert latest(session) == present(session)
    assert liquidations_told(session) == liquidations_present(session)
