"""The demo's traders: what they plan is what the contract then sees, on a real node and a real price server."""

from __future__ import annotations

import pytest

from contracts.demo.plan import Fate
from contracts.markets import WAD
from contracts.traders import TradeFailed
from tests.demo.market import History, plan_of


def test_a_seed_gives_one_plan_and_another_seed_another() -> None:
    assert plan_of(7) == plan_of(7)
    assert plan_of(7) != plan_of(8)


def test_funding_goes_on_in_every_market_and_the_risky_lose_in_it() -> None:
    for plan in map(plan_of, range(200)):
        for symbol, move in plan.moves_bps.items():
            here = [order for order in plan.orders if order.symbol == symbol]
            assert {order.is_long for order in here if order.fate is Fate.STAYS} == {True, False}
            assert {order.is_long for order in here if order.fate is Fate.LIQUIDATED} == {move < 0}


@pytest.mark.chain
def test_what_is_planned_is_what_the_contract_has(history: History) -> None:
    trading = history.trading
    assert [each.order for each in trading.opened] == list(trading.plan.orders)
    for each in trading.opened:
        order, position = each.order, history.opened[each.position_id]
        assert position["owner"].lower() == trading.traders[order.trader].address.lower()
        assert position["market_id"] == trading.exchange.deployment.markets[order.symbol]
        assert position["is_long"] == order.is_long
        assert position["collateral"] < order.collateral_wad, "the fee is taken"
        notional_wad = position["size"] * position["entry_price"] // WAD
        assert notional_wad == pytest.approx(order.collateral_wad * order.leverage_wad // WAD, rel=0.01)


@pytest.mark.chain
def test_some_change_their_collateral_and_some_close(history: History) -> None:
    before, after = history.opened, history.changed
    moved = {each: after[each]["collateral"] - before[each]["collateral"] for each in after if after[each]["size"]}
    ids = history.trading.position_ids
    assert {each for each in after if not after[each]["size"]} == set(ids(Fate.CLOSES))
    assert {each for each in moved if moved[each] > 0} == set(ids(Fate.ADDS))
    assert {each for each in moved if moved[each] < 0} == set(ids(Fate.TAKES))


@pytest.mark.chain
def test_the_move_endangers_the_doomed_and_nobody_else(history: History) -> None:
    assert history.endangered_before == []
    assert set(history.endangered_after) == set(history.trading.position_ids(Fate.LIQUIDATED))


@pytest.mark.chain
def test_the_move_comes_past_every_order(history: History) -> None:
    trading = history.trading
    assert len(trading.placed) == len(trading.position_ids(Fate.STOPS, Fate.GAINS)) > 0
    after = history._positions()
    for each in trading.opened:
        if each.order.fate is Fate.STOPS:
            assert after[each.position_id]["size"] == each.size_wad - each.size_wad // 2
        elif each.order.fate is Fate.GAINS:
            assert after[each.position_id]["size"] == 0


@pytest.mark.chain
def test_a_trade_that_reverts_is_told(history: History) -> None:
    (each, *_) = [one for one in history.trading.opened if one.order.fate is Fate.STAYS]
    stranger = history.trading.traders[each.order.trader - 1]
    digest = stranger.close(each.order.symbol, each.position_id, is_long=each.order.is_long)
    with pytest.raises(TradeFailed, match=digest):
        history.trading.exchange.mined([digest])
