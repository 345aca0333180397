"""What a fold tells: each change once, and in a reorg what is taken back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from contracts.markets import WAD
from tests.perps.history import History, closed, collateral_changed, liquidated, market_added, opened, our_protocol
from tests.perps.told import assert_told


@pytest.fixture
def history(session: Session) -> History:
    return History(session, our_protocol())


def told(session: Session, topic: str) -> list[tuple[str, Any]]:
    """Standing and status, or whether it was removed, in order."""
    rows = session.execute(
        text(
            "SELECT standing, coalesce(payload->>'status', payload->>'removed', payload->>'symbol') AS what FROM outbox"
            " WHERE topic LIKE :topic ORDER BY place"
        ),
        {"topic": topic},
    )
    return [tuple(row) for row in rows]


def test_a_position_from_its_opening_to_its_end(history: History, session: Session) -> None:
    history.fold(3, market_added(1))
    history.fold(4, opened(1))
    history.fold(5, collateral_changed(1, collateral=5 * WAD))
    history.fold(6, closed(1))
    assert told(session, "positions:%") == [("state", "open"), ("state", "open"), ("end", "closed")]
    assert [what for _, what in told(session, "markets")] == ["BTC-USD", "BTC-USD", "BTC-USD"], "listed, opened, closed"
    assert_told(session)


def test_what_is_known_already_is_not_told_again(history: History, session: Session) -> None:
    history.fold(3, market_added(1))
    events = history.mine(4, [opened(1)])
    history.projection.apply(session, events)
    before = told(session, "%")
    history.projection.apply(session, events)
    assert told(session, "%") == before


def test_a_liquidation_is_told_once_and_taken_back_by_a_reorg(history: History, session: Session) -> None:
    history.fold(3, market_added(1))
    history.fold(4, opened(1))
    late = history.mine(5, [collateral_changed(1, collateral=5 * WAD)])
    history.fold(6, liquidated(1))
    assert told(session, "liquidations") == [("fact", "false")]
    history.projection.apply(session, late)
    assert told(session, "liquidations") == [("fact", "false")], "folded again, and the same"
    history.undo(6)
    assert told(session, "liquidations") == [("fact", "false"), ("fact", "true")]
    assert told(session, "positions:%")[-1] == ("state", "open")
    history.undo(4)
    assert told(session, "positions:%")[-1] == ("end", "removed")
    history.undo(3)
    assert told(session, "markets")[-1] == ("end", "removed")
    assert_told(session)


def test_a_late_event_that_changes_nothing_is_not_told(history: History, session: Session) -> None:
    history.fold(3, market_added(1))
    history.fold(4, opened(1))
    late = history.mine(5, [collateral_changed(1, collateral=5 * WAD)])
    history.fold(6, collateral_changed(1, collateral=7 * WAD))
    before = told(session, "positions:%")
    history.projection.apply(session, late)
    assert told(session, "positions:%") == before
    assert_told(session)
