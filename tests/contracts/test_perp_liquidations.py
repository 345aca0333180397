"""Liquidation: exactly when, by whom, and where each token goes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import pytest

from contracts.markets import MAJOR, WAD
from tests.contracts.exchange import BTC, NO_LIMIT_UP, SOL, Exchange, wad

pytestmark = pytest.mark.chain

NEED = MAJOR.maintenance_margin_rate + MAJOR.liquidation_fee_rate


@dataclass(frozen=True)
class Books:
    """Every balance that a liquidation moves."""

    owner: int
    keeper: int
    pool: int
    insurance: int
    collateral: int

    @classmethod
    def of(cls, exchange: Exchange) -> Books:
        return cls(
            exchange.balance(exchange.alice),
            exchange.balance(exchange.keeper),
            exchange.view("pool"),
            exchange.view("insurance"),
            exchange.view("total_collateral"),
        )

    def change(self, later: Books) -> Books:
        return Books(*(getattr(later, name) - getattr(self, name) for name in self.__dataclass_fields__))


def open_with_equity(exchange: Exchange, is_long: bool, held: int) -> int:
    """A position of one BTC at 60 000 that holds exactly `held` after the fee of 30."""
    limit = NO_LIMIT_UP if is_long else 0
    opened = exchange.trade("open", BTC, is_long, WAD, held + wad("30"), limit, at="60000").one("PositionOpened")
    assert opened["collateral"] == held
    return opened["position_id"]


@pytest.mark.parametrize("is_long", [True, False])
def test_the_boundary_is_strict_and_exact_to_the_wei(exchange: Exchange, is_long: bool) -> None:
    # At 59 000 a long of one BTC from 60 000 has lost 1 000 and needs 1.5 % of 59 000; shorts mirror it at 61 000.
    price = "59000" if is_long else "61000"
    needed = wad(price) * NEED // WAD
    safe = open_with_equity(exchange, is_long, wad("1000") + needed)
    unsafe = open_with_equity(exchange, is_long, wad("1000") + needed - 1)
    exchange.trade("settle_funding", BTC, at=price)
    assert exchange.view("equity", safe) == needed
    assert not exchange.view("is_liquidatable", safe)
    assert exchange.view("is_liquidatable", unsafe)
    assert exchange.trade_refusal("liquidate", safe, at=price, sender=exchange.keeper) == "healthy"
    exchange.trade("liquidate", unsafe, at=price, sender=exchange.keeper)


def test_a_boundary_that_does_not_divide_is_still_exact(exchange: Exchange) -> None:
    # size * price * rate is no whole number of wei here: the least safe equity is its ceiling.
    size = wad("1.000000000000000007")
    opened = exchange.trade("open", BTC, True, size, wad("5000"), NO_LIMIT_UP, at="60000.00000007")
    position = exchange.position(1)
    exit_price = wad("59000.00000003")
    loss = ceil(Fraction(size * (position["entry_price"] - exit_price), WAD))
    needed = ceil(Fraction(size * exit_price * NEED, WAD * WAD))
    assert (size * exit_price * NEED) % (WAD * WAD) != 0
    surplus = position["collateral"] - loss - needed
    assert opened.one("PositionOpened")["size"] == size
    exchange.trade("modify_collateral", 1, -surplus, at="60000.00000007")
    assert exchange.trade_refusal("liquidate", 1, at="59000.00000003", sender=exchange.keeper) == "healthy"
    exchange.trade("modify_collateral", 1, -1, at="60000.00000007")
    exchange.trade("liquidate", 1, at="59000.00000003", sender=exchange.keeper)


def test_equity_above_the_bonus_goes_back_to_the_owner(exchange: Exchange) -> None:
    position_id = open_with_equity(exchange, True, wad("1300"))
    before = Books.of(exchange)
    mined = exchange.trade("liquidate", position_id, at="59400", sender=exchange.keeper)
    bonus = wad("59400") * MAJOR.liquidation_fee_rate // WAD
    assert mined.one("PositionLiquidated") == {
        "position_id": position_id,
        "owner": exchange.alice,
        "market_id": BTC,
        "liquidator": exchange.keeper,
        "is_long": True,
        "price": wad("59400"),
        "size": WAD,
        "liquidation_fee": bonus,
        "funding_paid": 0,
        "realized_pnl": -wad("600"),
        "bad_debt": 0,
        "insurance_paid": 0,
        "returned_to_owner": wad("700") - bonus,
    }
    assert before.change(Books.of(exchange)) == Books(
        owner=wad("700") - bonus, keeper=bonus, pool=wad("600"), insurance=0, collateral=-wad("1300")
    )
    assert exchange.position(position_id)["size"] == 0
    assert exchange.market(BTC)["long_open_interest"] == 0
    assert exchange.trade_refusal("liquidate", position_id, at="59400", sender=exchange.keeper) == "no position"


def test_equity_below_the_bonus_is_filled_up_by_the_insurance(exchange: Exchange) -> None:
    position_id = open_with_equity(exchange, True, wad("1300"))
    before = Books.of(exchange)
    bonus = wad("58800") * MAJOR.liquidation_fee_rate // WAD  # 294, of an equity of 100
    event = exchange.trade("liquidate", position_id, at="58800", sender=exchange.keeper).one("PositionLiquidated")
    assert (event["liquidation_fee"], event["insurance_paid"]) == (bonus, bonus - wad("100"))
    assert (event["bad_debt"], event["returned_to_owner"]) == (0, 0)
    assert before.change(Books.of(exchange)) == Books(
        owner=0, keeper=bonus, pool=wad("1200"), insurance=wad("100") - bonus, collateral=-wad("1300")
    )


def test_bad_debt_is_made_good_to_the_pool_by_the_insurance(exchange: Exchange) -> None:
    position_id = open_with_equity(exchange, False, wad("1300"))
    before = Books.of(exchange)
    bonus = wad("62000") * MAJOR.liquidation_fee_rate // WAD
    event = exchange.trade("liquidate", position_id, at="62000", sender=exchange.keeper).one("PositionLiquidated")
    assert (event["realized_pnl"], event["bad_debt"]) == (-wad("2000"), wad("700"))
    assert (event["liquidation_fee"], event["insurance_paid"]) == (bonus, bonus + wad("700"))
    # The pool gets the whole 2 000 that the trader lost.
    assert before.change(Books.of(exchange)) == Books(
        owner=0, keeper=bonus, pool=wad("2000"), insurance=-bonus - wad("700"), collateral=-wad("1300")
    )


def test_a_short_insurance_pays_the_bonus_first_and_the_pool_bears_the_rest(exchange: Exchange) -> None:
    insurance = exchange.view("insurance")
    # An equity of -950 000, a bonus of 285 000, an insurance of a million: 715 000 is left for the debt.
    position_id = exchange.open(True, "1000", "2080000", at="60000", sender=exchange.alice)
    before = Books.of(exchange)
    held = exchange.position(position_id)["collateral"]
    event = exchange.trade("liquidate", position_id, at="57000", sender=exchange.keeper).one("PositionLiquidated")
    bonus, debt = wad("285000"), wad("950000")
    assert debt + bonus > insurance > bonus
    assert (event["liquidation_fee"], event["bad_debt"], event["insurance_paid"]) == (bonus, debt, insurance)
    assert before.change(Books.of(exchange)) == Books(
        owner=0, keeper=bonus, pool=held + insurance - bonus, insurance=-insurance, collateral=-held
    )
    # With nothing left, the next caller gets what equity there is, and with none he gets nothing.
    poor = open_with_equity(exchange, True, wad("1300"))
    event = exchange.trade("liquidate", poor, at="58800", sender=exchange.keeper).one("PositionLiquidated")
    assert (event["liquidation_fee"], event["insurance_paid"], event["bad_debt"]) == (wad("100"), 0, 0)
    broke = open_with_equity(exchange, True, wad("1300"))
    event = exchange.trade("liquidate", broke, at="58600", sender=exchange.keeper).one("PositionLiquidated")
    assert (event["liquidation_fee"], event["insurance_paid"], event["bad_debt"]) == (0, 0, wad("100"))


def test_a_profit_can_be_liquidated_too_and_the_pool_pays_it(exchange: Exchange) -> None:
    # Withdrawn to 50 times at a profit, then a small fall: the equity is more than the collateral that is left.
    position_id = exchange.open(True, "1", "5000", at="60000")
    held = exchange.position(position_id)["collateral"]
    exchange.trade("modify_collateral", position_id, -held, at="62000")
    exchange.trade("settle_funding", BTC, at="60914")
    before = Books.of(exchange)
    event = exchange.trade("liquidate", position_id, at="60910", sender=exchange.keeper).one("PositionLiquidated")
    bonus = wad("60910") * MAJOR.liquidation_fee_rate // WAD
    assert (event["realized_pnl"], event["returned_to_owner"]) == (wad("910"), wad("910") - bonus)
    assert before.change(Books.of(exchange)) == Books(
        owner=wad("910") - bonus, keeper=bonus, pool=-wad("910"), insurance=0, collateral=0
    )


def test_a_wide_confidence_does_not_hold_up_a_liquidation_but_age_does(exchange: Exchange) -> None:
    position_id = open_with_equity(exchange, True, wad("1300"))
    refusal = exchange.refusal(exchange.perp, "liquidate", position_id, [], sender=exchange.keeper, after=61)
    assert refusal == "0x19abf40e"  # StalePrice
    exchange.trade("liquidate", position_id, at="59000", conf="5900", sender=exchange.keeper)


def test_the_owner_may_liquidate_himself_and_funding_counts(exchange: Exchange) -> None:
    # The long pays funding until it sinks, the price standing still.
    position_id = exchange.open(True, "100", "14200", at="142", market_id=SOL)
    exchange.open(False, "1", "1000", at="142", market_id=SOL, sender=exchange.bob)
    held = exchange.position(position_id)["collateral"]
    exchange.trade("modify_collateral", position_id, -(held - wad("570")), at="142")
    exchange.trade("settle_funding", SOL, at="142")
    assert exchange.trade_refusal("liquidate", position_id, at="142") == "healthy"
    mined = exchange.trade("liquidate", position_id, at="142", after=15 * 86_400)
    event = mined.one("PositionLiquidated")
    assert (event["owner"], event["liquidator"]) == (exchange.alice, exchange.alice)
    assert event["realized_pnl"] == 0
    assert event["funding_paid"] > wad("250")
    assert event["returned_to_owner"] + event["liquidation_fee"] == wad("570") - event["funding_paid"]
