"""What each event makes of the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from contracts.feeds import FEEDS
from contracts.markets import MAJOR, WAD
from tests.perps.history import (
    GENESIS,
    KEEPER,
    TRADER,
    History,
    closed,
    collateral_changed,
    funding_settled,
    liquidated,
    market_added,
    market_updated,
    opened,
    our_protocol,
)


@pytest.fixture
def history(session: Session) -> History:
    return History(session, our_protocol())


def at(block: int) -> datetime:
    return datetime.fromtimestamp(GENESIS + 12 * block, UTC)


def test_a_listing_makes_a_market_and_has_its_price_followed(history: History, session: Session) -> None:
    history.fold(3, market_added(1))
    (market,) = history.rows("perps_markets")
    assert (market["market_id"], market["symbol"], market["base_token"], market["quote_token"]) == (
        "1",
        "BTC-USD",
        "BTC",
        "USD",
    )
    assert market["pyth_price_id"] == FEEDS[0].price_id
    assert market["max_leverage_wad"] == 50 * WAD
    assert market["maintenance_margin_rate_wad"] == MAJOR.maintenance_margin_rate
    assert (market["total_long_wad"], market["total_short_wad"], market["current_funding_rate_wad"]) == (0, 0, 0)
    assert market["last_funding_update"] == market["listed_at"] == at(3)
    assert session.execute(text("SELECT symbol FROM oracle_feeds")).scalars().all() == ["BTC/USD"]


def test_new_terms_replace_the_old_and_leave_the_rest(history: History) -> None:
    history.fold(3, market_added(1))
    history.fold(4, opened(1))
    history.fold(5, market_updated(1, maintenance_margin_rate=WAD // 50))
    (market,) = history.rows("perps_markets")
    assert market["maintenance_margin_rate_wad"] == WAD // 50
    assert (market["symbol"], market["total_long_wad"], market["listed_block_number"]) == ("BTC-USD", WAD, 3)


def test_an_opening_makes_a_position_and_open_interest(history: History) -> None:
    history.fold(3, market_added(1))
    history.fold(4, opened(7, is_long=False, size=3 * WAD, collateral=300 * WAD, entry_funding_index=-2 * WAD))
    (position,) = history.rows("perps_positions")
    assert (position["key"], position["market_id"], position["side"], position["status"]) == ("7", "1", "short", "open")
    assert position["user_address"] == TRADER
    assert (position["size_wad"], position["collateral_wad"]) == (3 * WAD, 300 * WAD)
    assert position["leverage_wad"] == 10 * WAD
    assert (position["entry_price_wad"], position["exit_price_wad"]) == (1000 * WAD, None)
    assert (position["realized_pnl_wad"], position["accumulated_funding_wad"]) == (0, 0)
    assert position["fees_wad"] == WAD // 2
    # Short: -1000 - (-2) - 300/3, widened by two units of quote.
    assert position["trigger_key"] == pytest.approx(-1098.0, rel=1e-15)
    assert (position["opened_at"], position["opened_block_number"], position["opened_log_index"]) == (at(4), 4, 0)
    assert (position["block_number"], position["changed_at"]) == (4, at(4))
    (market,) = history.rows("perps_markets")
    assert (market["total_long_wad"], market["total_short_wad"]) == (0, 3 * WAD)


def test_collateral_moves_leverage_and_the_key(history: History) -> None:
    history.fold(3, market_added(1), opened(1))
    history.fold(4, collateral_changed(1, 200 * WAD))
    (position,) = history.rows("perps_positions")
    assert (position["collateral_wad"], position["leverage_wad"]) == (200 * WAD, 5 * WAD)
    assert position["trigger_key"] == pytest.approx(800.0, rel=1e-15)
    assert (position["opened_block_number"], position["block_number"], position["log_index"]) == (3, 4, 0)


def test_a_close_ends_it_with_its_sums(history: History) -> None:
    history.fold(3, market_added(1), opened(1))
    history.fold(4, closed(1))
    (position,) = history.rows("perps_positions")
    assert (position["status"], position["exit_price_wad"]) == ("closed", 1100 * WAD)
    assert position["realized_pnl_wad"] == 100 * WAD
    assert position["accumulated_funding_wad"] == 3 * WAD
    assert position["fees_wad"] == WAD // 2 + WAD
    assert (position["size_wad"], position["collateral_wad"]) == (WAD, 100 * WAD)
    assert history.rows("perps_markets")[0]["total_long_wad"] == 0
    assert history.rows("perps_liquidations") == []


def test_a_liquidation_is_what_the_event_says(history: History) -> None:
    history.fold(3, market_added(1), opened(1))
    history.fold(4, liquidated(1))
    (position,) = history.rows("perps_positions")
    assert (position["status"], position["exit_price_wad"]) == ("liquidated", 905 * WAD)
    # Its equity was 100 - 95 - 2 = 3, so of the bonus of 4 it paid 3; the insurance paid the rest.
    assert position["fees_wad"] == WAD // 2 + 3 * WAD
    (found,) = history.rows("perps_liquidations")
    assert (found["position_key"], found["market_id"], found["side"], found["size_wad"]) == ("1", "1", "long", WAD)
    assert (found["user_address"], found["liquidator"]) == (TRADER, KEEPER)
    assert (found["price_wad"], found["fee_wad"], found["insurance_paid_wad"]) == (905 * WAD, 4 * WAD, WAD)
    assert (found["realized_pnl_wad"], found["funding_paid_wad"], found["bad_debt_wad"]) == (-95 * WAD, 2 * WAD, 0)
    assert (found["block_number"], found["liquidated_at"]) == (4, at(4))
    assert history.rows("perps_markets")[0]["total_long_wad"] == 0


def test_a_settlement_is_a_row_and_moves_the_markets_indexes(history: History) -> None:
    history.fold(3, market_added(1), opened(1, size=3 * WAD), opened(2, is_long=False))
    history.fold(4, funding_settled(1, GENESIS + 48, rate_per_second=7))
    (row,) = history.rows("perps_funding_rates")
    assert (row["market_id"], row["funding_rate_wad"], row["elapsed_seconds"]) == ("1", 7, 12)
    assert (row["long_oi_wad"], row["short_oi_wad"], row["price_wad"]) == (WAD, WAD, 1000 * WAD)
    assert (row["settled_at"], row["block_number"]) == (at(4), 4)
    (market,) = history.rows("perps_markets")
    assert (market["long_funding_index_wad"], market["short_funding_index_wad"]) == (5 * WAD, -5 * WAD)
    assert market["last_funding_update"] == at(4)
    # What accrues now is of the interest now, not of the settlement's.
    assert market["current_funding_rate_wad"] == Decimal(MAJOR.funding_factor_per_second // 2)


def test_an_event_known_already_changes_nothing(history: History) -> None:
    history.fold(3, market_added(1), opened(1))
    events = history.mine(4, [closed(1), funding_settled(1, GENESIS + 48)])
    history.projection.apply(history.session, events)
    before = history.state()
    history.projection.apply(history.session, events)
    assert history.state() == before


def test_a_position_waits_for_its_opening_and_a_market_for_its_listing(history: History) -> None:
    listing, opening = history.mine(3, [market_added(1), opened(1)])
    end = history.mine(5, [closed(1)])
    other = history.mine(6, [opened(2, size=4 * WAD)])
    history.projection.apply(history.session, end)
    assert history.rows("perps_positions") == []
    history.projection.apply(history.session, other)
    assert history.rows("perps_markets") == []
    history.projection.apply(history.session, [opening])
    assert [row["status"] for row in history.rows("perps_positions")] == ["closed", "open"]
    history.projection.apply(history.session, [listing])
    assert history.rows("perps_markets")[0]["total_long_wad"] == 4 * WAD


def test_a_reorg_undoes_the_end_and_the_opening(history: History) -> None:
    history.fold(3, market_added(1))
    listed = history.state()
    history.fold(4, opened(1))
    held = history.state()
    history.fold(5, liquidated(1), funding_settled(1, GENESIS + 60))
    history.undo(5)
    assert history.state() == held
    history.undo(4)
    assert history.state() == listed
    history.undo(3)
    assert all(rows == [] for rows in history.state().values())


def test_another_chains_reorg_is_none_of_ours(history: History) -> None:
    history.fold(3, market_added(1), opened(1))
    before = history.state()
    history.projection.rollback(history.session, 1, 0)
    assert history.state() == before


def test_a_feed_that_is_followed_keeps_its_name_and_a_taken_name_is_told_apart(
    history: History, session: Session
) -> None:
    session.execute(
        text(
            "INSERT INTO oracle_feeds (id, symbol, source) VALUES (:known, 'XBT', 'pyth'), (:other, 'ETH/USD', 'pyth')"
        ),
        {"known": FEEDS[0].price_id, "other": b"\x01" * 32},
    )
    history.fold(3, market_added(1), market_added(2))
    names = session.execute(text("SELECT symbol FROM oracle_feeds ORDER BY symbol")).scalars().all()
    assert names == ["ETH/USD", f"ETH/USD 0x{FEEDS[1].price_id.hex()}", "XBT"]


def test_a_key_that_opens_again_goes_on_in_its_row(history: History) -> None:
    history.fold(3, market_added(1), opened(1))
    history.fold(4, closed(1))
    history.fold(5, opened(1, is_long=False, size=2 * WAD))
    (position,) = history.rows("perps_positions")
    assert (position["status"], position["side"], position["size_wad"]) == ("open", "short", 2 * WAD)
    assert (position["exit_price_wad"], position["opened_block_number"]) == (None, 5)
    # What it has won and paid in its life adds up.
    assert (position["realized_pnl_wad"], position["accumulated_funding_wad"]) == (100 * WAD, 3 * WAD)
    assert position["fees_wad"] == 2 * WAD
    assert history.rows("perps_markets")[0]["total_short_wad"] == 2 * WAD


def test_what_comes_after_the_end_changes_nothing_but_its_place(history: History) -> None:
    history.fold(3, market_added(1), opened(1))
    history.fold(4, closed(1))
    history.fold(5, liquidated(1), collateral_changed(1, WAD))
    (position,) = history.rows("perps_positions")
    assert (position["status"], position["collateral_wad"], position["block_number"]) == ("closed", 100 * WAD, 5)
    assert history.rows("perps_liquidations") == []
