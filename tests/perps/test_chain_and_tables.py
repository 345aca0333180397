"""Random trading on a node: our tables equal the contract's own view, to the unit, also after reorgs."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.perps.services.lists import get_judged
from tests.contracts.exchange import NO_LIMIT_DOWN, NO_LIMIT_UP, wad
from tests.perps.venue import NAME, Venue

pytestmark = pytest.mark.chain

SYMBOLS = {"1": "BTC-USD", "2": "ETH-USD", "3": "SOL-USD"}
PRICES = {"1": 60_000, "2": 3_000, "3": 150}


def trade(venue: Venue, chance: random.Random, held: dict[str, tuple[bool, str]]) -> None:
    """One random act of the trader, at a price that has moved a little."""
    market = chance.choice(["1", "1", "2", "3"])
    venue.price(SYMBOLS[market], f"{PRICES[market] * chance.uniform(0.99, 1.01):.8f}")
    venue.rpc("evm_increaseTime", chance.randint(0, 2))
    act = chance.choice(["open", "open", "close", "more", "settle"])
    of_market = [key for key, (_, where) in held.items() if where == market]
    if act == "open" or (act in ("close", "more") and not of_market):
        size = f"{chance.randint(1, 10**6) / 10**6:.6f}"
        collateral = f"{float(size) * PRICES[market] * chance.uniform(0.05, 0.5) + 1:.6f}"
        is_long = chance.random() < 0.5
        held[venue.open(is_long, size, collateral, market=market)] = (is_long, market)
    elif act == "close":
        key = chance.choice(of_market)
        is_long, _ = held.pop(key)
        venue.act("close", int(key), NO_LIMIT_DOWN if is_long else NO_LIMIT_UP, market=market)
    elif act == "more":
        venue.act("modify_collateral", int(chance.choice(of_market)), wad("1.5"), market=market)
    else:
        venue.act("settle_funding", int(market), market=market)


def contract_view(venue: Venue) -> dict[str, Any]:
    """Every open position and every market, as the contract has them now."""
    markets = {}
    for market in SYMBOLS:
        found = venue.perp.functions.markets(int(market)).call()
        markets[market] = (*found[5:9], datetime.fromtimestamp(found[9], UTC))
    positions = {}
    for number in range(1, venue.perp.functions.position_count().call() + 1):
        owner, market_id, is_long, size, collateral, entry, index = venue.perp.functions.positions(number).call()
        if size:
            side = "long" if is_long else "short"
            positions[str(number)] = (owner.lower(), str(market_id), side, size, collateral, entry, index)
    return {"markets": markets, "positions": positions}


def tables_view(venue: Venue) -> dict[str, Any]:
    """The same, from our tables."""
    markets = {
        row.market_id: (
            int(row.total_long_wad),
            int(row.total_short_wad),
            int(row.long_funding_index_wad),
            int(row.short_funding_index_wad),
            row.last_funding_update,
        )
        for row in venue.rows("SELECT * FROM perps_markets WHERE protocol = :name", name=NAME)
    }
    positions = {
        row.key: (
            "0x" + bytes(row.user_address).hex(),
            row.market_id,
            row.side,
            int(row.size_wad),
            int(row.collateral_wad),
            int(row.entry_price_wad),
            int(row.entry_funding_index_wad),
        )
        for row in venue.rows("SELECT * FROM perps_positions WHERE status = 'open'")
    }
    return {"markets": markets, "positions": positions}


@pytest.mark.parametrize("seed", range(2))
def test_the_tables_equal_the_contract(venue: Venue, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses examples
    venue.lag_seconds = 50
    held: dict[str, tuple[bool, str]] = {}
    for _ in range(25):
        trade(venue, chance, held)
        if chance.random() < 0.3:
            venue.index()
    venue.index()
    assert tables_view(venue) == contract_view(venue)
    assert len(held) > 3


def assert_equity_is_transfers_and_pnl(venue: Venue) -> None:
    """Transfers are what the token's own events say; with PnL they are the contract's equity."""
    trader, perp = venue.trader, venue.perp.address
    logs = venue.token.events.Transfer().get_logs(from_block=0)
    signs = {(trader, perp): 1, (perp, trader): -1}
    paid_in = sum(signs.get((log["args"]["sender"], log["args"]["receiver"]), 0) * log["args"]["value"] for log in logs)
    newest = venue.rows("SELECT * FROM perps_pnl_entries ORDER BY block_number DESC, log_index DESC LIMIT 1")[0]
    assert int(newest.account_transfers_wad) == paid_in
    held = venue.rows("SELECT sum(collateral_wad) AS wad FROM perps_positions WHERE status = 'open'")[0].wad
    assert newest.account_transfers_wad + newest.account_pnl_wad == held
    now = datetime.fromtimestamp(venue.w3.eth.get_block("latest")["timestamp"], UTC)
    with Session(venue.engine) as session:
        judged = {
            key: get_judged(session, NAME, key, seeing=venue.runtime.perps, now=now)
            for key in contract_view(venue)["positions"]
        }
        entries = venue.rows(
            "SELECT DISTINCT ON (position_key) * FROM perps_pnl_entries"
            " ORDER BY position_key, block_number DESC, log_index DESC"
        )
    by_key = {row.position_key: row for row in entries}
    for key, one in judged.items():
        assert one.health is not None, one.reason
        worth = one.health.prospects
        equity = venue.perp.functions.equity(int(key)).call()
        row = by_key[key]
        assert row.position_transfers_wad + row.position_pnl_wad + worth.price_pnl_wad - worth.funding_wad == equity


def test_equity_is_transfers_and_pnl(venue: Venue) -> None:
    chance = random.Random(7)  # noqa: S311 - chooses examples
    venue.lag_seconds = 50
    held: dict[str, tuple[bool, str]] = {}
    for _ in range(25):
        trade(venue, chance, held)
    for market, symbol in SYMBOLS.items():
        venue.price(symbol, str(PRICES[market]))
        venue.act("settle_funding", int(market), market=market)
    venue.index()
    venue.refresh()
    assert_equity_is_transfers_and_pnl(venue)


def test_a_reorg_leaves_what_the_new_chain_says(venue: Venue) -> None:
    chance = random.Random(5)  # noqa: S311 - chooses examples
    venue.lag_seconds = 50
    held: dict[str, tuple[bool, str]] = {}
    for _ in range(10):
        trade(venue, chance, held)
    venue.index()
    settled = tables_view(venue)
    for _ in range(8):
        trade(venue, chance, held)
    venue.index()
    assert tables_view(venue) != settled
    # Blocks without our transactions take the place of the last eight and more.
    venue.rpc("anvil_reorg", 9, [])
    venue.mine()
    venue.index()
    assert tables_view(venue) == contract_view(venue)
    assert venue.rows("SELECT rewinds FROM chain_cursors")[0].rewinds == 1
