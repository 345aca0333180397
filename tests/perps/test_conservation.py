"""What must hold whatever happens: exact fractions over many positions, and nothing made or lost on the way."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from app.perps.maths.fold import folded
from app.perps.maths.funding import accrued
from app.perps.maths.margin import equity_wad, funding_owed_wad, is_liquidatable, price_pnl_wad
from app.perps.maths.thresholds import liquidation_price_wad
from app.perps.maths.trigger import trigger_bound, trigger_key
from app.perps.maths.units import divide_up
from app.perps.types.changes import PositionChange
from app.perps.types.markets import Boundary, FundingState, FundingTerms, Margin
from app.perps.types.positions import Holding, Place, Side
from app.perps.types.vocabulary import Effect, Mode
from tests.perps.strategies import WAD, holdings, indexes, margins, prices, sizes

POSITIONS = 20_000
SETTLED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def drawn(chance: random.Random) -> tuple[Holding, int, Margin]:
    """A position as one might be: 1 to 100 times leveraged, from cents to millions, with funding of both signs."""
    size = chance.randint(1, 10 ** chance.randint(15, 24))
    entry = chance.randint(1, 10 ** chance.randint(16, 24))
    collateral = size * entry // WAD // chance.randint(1, 100)
    growth = chance.randint(-entry // 50, entry // 50)
    index = chance.randint(-(10**21), 10**21)
    held = Holding(chance.choice(list(Side)), size, collateral, entry, index)
    return held, index + growth, Margin(chance.randint(0, WAD // 5), chance.choice(list(Boundary)))


def test_liquidation_prices_of_twenty_thousand_positions() -> None:
    """p* against its definition in exact fractions: equity without roundings is the margin there, and nowhere else."""
    chance = random.Random(20_000)  # noqa: S311 - chooses examples
    turned = 0
    for _ in range(POSITIONS):
        held, index, margin = drawn(chance)
        sign, size = held.side.sign, Fraction(held.size_wad, WAD)
        owed = size * (index - held.entry_funding_index_wad)
        # C + s·q·(p − e) − q·ΔI = m·q·p, solved for p.
        exact = (held.collateral_wad - sign * size * held.entry_price_wad - owed) / (
            size * (Fraction(margin.rate_wad, WAD) - sign)
        )
        shown = liquidation_price_wad(held, index, margin)
        if exact <= 0:
            assert shown == (None if sign > 0 else 0)
            continue
        assert shown is not None
        assert 0 <= sign * (shown - exact) < 1
        turned += 1
        # Two units of quote are what roundings of the payments may be worth.
        slack = 2 + 2 * WAD * WAD // (held.size_wad * abs(sign * WAD - margin.rate_wad))
        for price, unhealthy in ((shown - sign * 2, True), (shown + sign * slack, False)):
            if price > 0:
                assert is_liquidatable(held, price, index, margin) is unhealthy
    assert turned > POSITIONS // 2


@settings(max_examples=500, deadline=None)
@given(holdings, indexes, margins, st.lists(prices, min_size=1, max_size=20))
def test_the_key_and_health_say_the_same_at_every_price(
    held: Holding, index: int, margin: Margin, found: list[int]
) -> None:
    """In exact fractions the one inequality is the other; as they are computed, they differ within the guard alone."""
    sign, size = held.side.sign, Fraction(held.size_wad, WAD)
    key = sign * held.entry_price_wad - held.entry_funding_index_wad - held.collateral_wad / size
    for price in found:
        bound = sign * price - Fraction(margin.rate_wad, WAD) * price - index
        equity = held.collateral_wad + size * (
            sign * (price - held.entry_price_wad) - index + held.entry_funding_index_wad
        )
        required = size * price * Fraction(margin.rate_wad, WAD)
        assert (key > bound) is (equity < required)
        assert (key == bound) is (equity == required)
        is_candidate = trigger_key(held) >= trigger_bound(held.side, price, index, margin)
        assert is_candidate or not is_liquidatable(held, price, index, margin)


held_sizes = st.lists(sizes, min_size=1, max_size=12)
terms = st.builds(FundingTerms, st.integers(0, WAD), st.integers(0, 10**14))


@settings(max_examples=300, deadline=None)
@given(held_sizes, held_sizes, terms, st.lists(st.tuples(prices, st.integers(0, 10**6)), min_size=1, max_size=5))
def test_funding_makes_no_money(
    longs: list[int], shorts: list[int], model: FundingTerms, settled: list[tuple[int, int]]
) -> None:
    """Position by position: what payers pay is what receivers get and the roundings, which are the protocol's."""
    state = FundingState(sum(longs), sum(shorts), 0, 0, SETTLED_AT)
    for price, seconds in settled:
        state = accrued(state, model, price_wad=price, elapsed_seconds=seconds)
    owed = [
        funding_owed_wad(Holding(side, size, 0, WAD, 0), state.index_wad(side))
        for side, found in ((Side.LONG, longs), (Side.SHORT, shorts))
        for size in found
    ]
    # Each payment is rounded by less than a unit, and each settlement's index by less than one a unit of base received.
    most = len(owed) + len(settled) * Fraction(min(sum(longs), sum(shorts)), WAD)
    assert 0 <= sum(owed) <= most


@settings(max_examples=300, deadline=None)
@given(holdings, prices, indexes, st.integers(0, WAD // 10), st.integers(0, 10**24))
def test_a_liquidation_makes_no_tokens(held: Holding, price: int, index: int, fee_rate: int, insurance: int) -> None:
    """As contracts/perp.vy divides a position's money: what it held is paid out, kept or was never there."""
    pnl, funding = price_pnl_wad(held, price), funding_owed_wad(held, index)
    equity = equity_wad(held, price, index)
    bonus = divide_up(held.size_wad * price * fee_rate, WAD * WAD)
    from_equity = min(max(equity, 0), bonus)
    from_insurance = min(bonus - from_equity, insurance)
    bad_debt = max(-equity, 0)
    covered = from_insurance + min(bad_debt, insurance - from_insurance)
    returned = max(equity, 0) - from_equity
    named = {"key": "k", "market_id": "m", "mode": Mode.ABSOLUTE, "owner": b"\xaa" * 20}
    places = [Place(number, 0, b"", bytes([number]), SETTLED_AT + timedelta(seconds=number)) for number in (1, 2)]
    opening = PositionChange(
        **named,
        effect=Effect.OPEN,
        place=places[0],
        side=held.side,
        size_wad=held.size_wad,
        collateral_wad=held.collateral_wad,
        entry_price_wad=held.entry_price_wad,
        entry_funding_index_wad=held.entry_funding_index_wad,
    )
    taken = PositionChange(
        **named,
        effect=Effect.LIQUIDATE,
        place=places[1],
        exit_price_wad=price,
        liquidator=b"\xbb" * 20,
        realized_pnl_wad=pnl,
        funding_paid_wad=funding,
        fee_wad=from_equity + from_insurance,
        bad_debt_wad=bad_debt,
        insurance_paid_wad=covered,
    )
    found = folded("x", None, [opening, taken])
    last = found.entries[-1]
    assert (-last.transfer_wad, last.fee_wad, last.covered_wad) == (returned, from_equity, bad_debt)
    # In: what was held, the profit and what others bore. Out: funding, the bonus, the owner's rest.
    assert held.collateral_wad + pnl + last.covered_wad == funding + last.fee_wad + returned
    assert found.position is not None
    assert found.position.net_transfers_wad == held.collateral_wad - returned
    (liquidation,) = found.liquidations
    assert (liquidation.bad_debt_wad, liquidation.insurance_paid_wad) == (bad_debt, covered)
