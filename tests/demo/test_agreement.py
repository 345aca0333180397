"""The judge agrees with a true index, and sees every digit that is planted in it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from contracts.demo.agreement import Difference, NothingToCompare, compare
from contracts.demo.database import Database
from contracts.demo.plan import Fate
from tests.demo.market import History

pytestmark = pytest.mark.chain


def test_a_true_index_agrees_on_every_value(history: History, database: Database) -> None:
    found = compare(history.trading.exchange, database)
    assert [str(one) for one in found.differences] == []
    assert found.values > 300
    assert found.block_number == database.find_range()[1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("perps_positions SET collateral_wad = collateral_wad + 1 WHERE key = :open", "position {open} collateral"),
        ("perps_positions SET size_wad = size_wad - 1 WHERE key = :open", "position {open} size"),
        ("perps_positions SET side = 'short' WHERE key = :open", "position {open} side"),
        ("perps_positions SET realized_pnl_wad = realized_pnl_wad + 1 WHERE key = :closed",
         "position {closed} realized_pnl"),
        ("perps_markets SET total_long_wad = total_long_wad + 1 WHERE market_id = '1'", "market 1 long_open_interest"),
        ("perps_markets SET short_funding_index_wad = short_funding_index_wad - 1 WHERE market_id = '2'",
         "market 2 short_funding_index"),
        ("perps_markets SET last_funding_update = last_funding_update + interval '1 second' WHERE market_id = '3'",
         "market 3 funding_settled_at"),
        ("perps_liquidations SET fee_wad = fee_wad + 1 WHERE position_key = :liquidated",
         "liquidation of {liquidated} liquidation_fee"),
        ("perps_liquidations SET insurance_paid_wad = insurance_paid_wad + 1 WHERE position_key = :liquidated",
         "insurance beyond its deposits"),
        ("perps_orders SET executed_price_wad = executed_price_wad + 1 WHERE key = '1'", "order 1 price"),
        ("perps_orders SET status = 'cancelled', executed_price_wad = NULL WHERE key = '2'", "order 2 status"),
        ("perps_positions SET fees_wad = fees_wad + 1 WHERE key = :open", "pool beyond its deposits"),
    ],
)  # fmt: skip
def test_a_planted_digit_is_named(
    change: str, named: str, history: History, database: Database, engine: Engine
) -> None:
    keys = keys_of(history)
    with engine.begin() as connection:
        assert connection.execute(text(f"UPDATE {change}"), keys).rowcount == 1
    found = compare(history.trading.exchange, database)
    assert named.format(**keys) in [one.what for one in found.differences]


def test_a_missing_position_is_named(history: History, database: Database, engine: Engine) -> None:
    keys = keys_of(history)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM perps_positions WHERE key = :open"), keys)
    found = compare(history.trading.exchange, database)
    count = len(history.trading.opened)
    assert Difference("positions", count, count - 1) in found.differences
    assert Difference(f"position {keys['open']} status", "open", None) in found.differences


def test_a_settlement_too_many_is_named(history: History, database: Database, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "DELETE FROM perps_funding_rates WHERE market_id = '1' AND block_number ="
                " (SELECT min(block_number) FROM perps_funding_rates WHERE market_id = '1')"
            )
        )
    (found,) = compare(history.trading.exchange, database).differences
    assert found.what == "market 1 settlements"


def test_a_block_that_is_not_in_the_chain_is_no_agreement(history: History, database: Database, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE chain_cursors SET tip_hash = :strange"), {"strange": b"\x11" * 32})
    with pytest.raises(NothingToCompare, match="not in the chain"):
        compare(history.trading.exchange, database)


def test_nothing_indexed_is_no_agreement(history: History, database_url: str) -> None:
    empty = Database(database_url)
    with pytest.raises(NothingToCompare, match="has not read a block"):
        compare(history.trading.exchange, empty)
    empty.close()


def keys_of(history: History) -> dict[str, str]:
    """A position of each kind; the open one is long."""
    opened = history.trading.opened
    steady = next(one for one in opened if one.order.fate is Fate.STAYS and one.order.is_long)
    ids = history.trading.position_ids
    return {
        "open": str(steady.position_id),
        "closed": str(ids(Fate.CLOSES)[0]),
        "liquidated": str(ids(Fate.LIQUIDATED)[0]),
    }
