"""What each event makes of an order's row, and what parts make of a position's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.perps.errors import UnreadableEvent
from contracts.markets import WAD
from tests.perps.history import (
    GENESIS,
    KEEPER,
    TRADER,
    History,
    decreased,
    increased,
    market_added,
    opened,
    order_cancelled,
    order_executed,
    order_placed,
    our_protocol,
)


@pytest.fixture
def history(session: Session) -> History:
    return History(session, our_protocol())


def only_order(history: History) -> dict[str, Any]:
    (row,) = history.rows("perps_orders")
    return row


def test_an_order_says_what_it_waits_for(history: History) -> None:
    history.fold(3, order_placed(7, expires_at=GENESIS + 600, acceptable_price=900 * WAD))
    row = only_order(history)
    said = {name: row[name] for name in ("key", "market_id", "kind", "side", "status", "position_key")}
    assert said == {
        "key": "7",
        "market_id": "1",
        "kind": "stop_loss",
        "side": "long",
        "status": "open",
        "position_key": "7",
    }
    assert (row["user_address"], row["size_wad"], row["collateral_wad"]) == (TRADER, WAD, 0)
    assert (row["trigger_price_wad"], row["acceptable_price_wad"]) == (950 * WAD, 900 * WAD)
    assert (row["execution_fee_wad"], row["executed_price_wad"]) == (2 * WAD, None)
    assert row["expires_at"] == datetime.fromtimestamp(GENESIS + 600, UTC)
    assert row["created_at"] == row["changed_at"] == datetime.fromtimestamp(GENESIS + 36, UTC)


def test_a_limit_that_no_price_reaches_is_none(history: History) -> None:
    history.fold(3, order_placed(1, kind=1, acceptable_price=2**256 - 1))
    assert only_order(history)["acceptable_price_wad"] is None


@pytest.mark.parametrize("never", [0, 2**256 - 1])
def test_an_order_that_opens_names_its_position_when_there_is_one(history: History, never: int) -> None:
    history.fold(3, order_placed(1, kind=1, position_id=0, collateral=50 * WAD, expires_at=never))
    assert (only_order(history)["position_key"], only_order(history)["expires_at"]) == (None, None)
    history.fold(4, opened(9), order_executed(1, position_id=9))
    row = only_order(history)
    assert (row["status"], row["position_key"], row["keeper"]) == ("executed", "9", KEEPER)
    assert (row["executed_price_wad"], row["executed_size_wad"]) == (949 * WAD, WAD)


def test_an_ended_order_stays_as_it_ended_and_a_reorg_takes_it_back(history: History) -> None:
    history.fold(3, order_placed(1))
    history.fold(4, order_cancelled(1))
    history.fold(5, order_executed(1))
    assert only_order(history)["status"] == "cancelled"
    history.undo(4)
    assert only_order(history)["status"] == "open"
    history.fold(4, order_executed(1))
    assert only_order(history)["status"] == "executed"
    history.undo(3)
    assert history.rows("perps_orders") == []


def test_what_was_never_placed_is_no_order(history: History) -> None:
    history.fold(3, order_executed(1), order_cancelled(2))
    assert history.rows("perps_orders") == []


def test_a_kind_that_the_file_does_not_name_is_refused(history: History) -> None:
    with pytest.raises(UnreadableEvent, match=r"kind is 4, which perps\.orders\.kinds does not name"):
        history.fold(3, order_placed(1, kind=4))


def test_parts_of_a_position(history: History) -> None:
    history.fold(3, market_added(1), opened(1, size=WAD, collateral=100 * WAD))
    history.fold(4, increased(1))
    history.fold(5, decreased(1))
    (row,) = history.rows("perps_positions")
    assert (row["status"], row["size_wad"], row["collateral_wad"]) == ("open", 2 * WAD - WAD // 4, 175 * WAD)
    assert (row["entry_price_wad"], row["entry_funding_index_wad"]) == (1005 * WAD, WAD)
    assert (row["realized_pnl_wad"], row["accumulated_funding_wad"]) == (25 * WAD, WAD)
    (market,) = history.rows("perps_markets")
    assert market["total_long_wad"] == 2 * WAD - WAD // 4
