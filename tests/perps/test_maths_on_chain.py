"""Our arithmetic against the contract's own, to the unit, on a real node."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.perps.maths.funding import funding_at, funding_rate_wad
from app.perps.maths.margin import equity_wad, is_liquidatable
from app.perps.maths.thresholds import liquidation_price_wad
from app.perps.types.markets import Boundary, FundingState, FundingTerms, Margin
from app.perps.types.positions import Holding, Side
from tests.contracts.exchange import BTC, Exchange, wad

pytestmark = pytest.mark.chain


def state_of(exchange: Exchange) -> tuple[FundingState, FundingTerms, Margin]:
    market = exchange.market(BTC)
    parameters = market["parameters"]
    return (
        FundingState(
            market["long_open_interest"],
            market["short_open_interest"],
            market["long_funding_index"],
            market["short_funding_index"],
            datetime.fromtimestamp(market["funding_settled_at"], UTC),
        ),
        FundingTerms(parameters.funding_factor_per_second, parameters.max_funding_rate_per_second),
        Margin(parameters.maintenance_margin_rate + parameters.liquidation_fee_rate, Boundary.BELOW),
    )


def holding_of(exchange: Exchange, position_id: int) -> Holding:
    position = exchange.position(position_id)
    side = Side.LONG if position["is_long"] else Side.SHORT
    return Holding(
        side, position["size"], position["collateral"], position["entry_price"], position["entry_funding_index"]
    )


def open_some(exchange: Exchange, chance: random.Random) -> list[int]:
    opened = []
    for number in range(12):
        size = Decimal(chance.randint(1, 10**9)) / 10 ** chance.choice([6, 9])
        price = Decimal(chance.randint(58_000_00000000, 62_000_00000000)).scaleb(-8)
        collateral = size * price * chance.choice([Decimal("0.021"), Decimal("0.05"), Decimal("0.5")])
        opened.append(
            exchange.open(
                number % 3 > 0,
                f"{size:f}",
                f"{collateral.quantize(Decimal('1e-18')):f}",
                at=f"{price:f}",
                after=chance.randint(1, 5000),
            )
        )
    return opened


@pytest.mark.parametrize("seed", range(3))
def test_worth_health_and_indexes_equal_the_contracts(exchange: Exchange, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses examples
    opened = open_some(exchange, chance)
    answers = set()
    for _ in range(6):
        price = f"{Decimal(chance.randint(57_000_00000000, 63_000_00000000)).scaleb(-8):f}"
        publish_time = exchange.now + 1
        data = [exchange.price(BTC, price, publish_time=publish_time)]
        exchange.send(exchange.pyth, "updatePriceFeeds", data, sender=exchange.keeper, value=1)
        exchange.rpc("evm_setNextBlockTimestamp", exchange.now + chance.randint(1, 100_000))
        exchange.rpc("evm_mine")
        state, terms, margin = state_of(exchange)
        now = datetime.fromtimestamp(exchange.now, UTC)
        projected = funding_at(state, terms, price_wad=wad(price), at=now)
        assert [projected.long_index_wad, projected.short_index_wad] == exchange.view("funding_index_now", BTC)
        rate = funding_rate_wad(state.long_open_interest_wad, state.short_open_interest_wad, terms)
        assert rate == exchange.view("funding_rate_per_second", BTC)
        for position_id in opened:
            holding = holding_of(exchange, position_id)
            index = projected.index_wad(holding.side)
            assert equity_wad(holding, wad(price), index) == exchange.view("equity", position_id)
            answer = exchange.view("is_liquidatable", position_id)
            assert is_liquidatable(holding, wad(price), index, margin) is answer
            answers.add(answer)
    assert answers == {True, False}


def test_the_contract_turns_at_our_liquidation_price(exchange: Exchange) -> None:
    long = exchange.open(True, "1.5", "4000", at="60000")
    short = exchange.open(False, "0.7", "2000", at="60000")
    for position_id, sign in ((long, 1), (short, -1)):
        state, _, margin = state_of(exchange)
        holding = holding_of(exchange, position_id)
        shown = liquidation_price_wad(holding, state.index_wad(holding.side), margin)
        assert shown is not None
        # The feed's own step is 10^-8, far above the roundings; two seconds of funding are far below a tenth of a unit.
        for step, expected in ((Decimal("-0.1"), True), (Decimal("0.1"), False)):
            price = (Decimal(shown).scaleb(-18) + sign * step).quantize(Decimal("1e-8"))
            data = [exchange.price(BTC, f"{price:f}", publish_time=exchange.now + 1)]
            exchange.send(exchange.pyth, "updatePriceFeeds", data, sender=exchange.keeper, value=1)
            assert exchange.view("is_liquidatable", position_id) is expected
