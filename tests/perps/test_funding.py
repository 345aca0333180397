"""Funding by skew: GMX's published example, exact fractions, and who pays whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.perps.maths.funding import accrued, funding_at, funding_rate_wad
from app.perps.types.markets import FundingState, FundingTerms
from tests.perps.strategies import WAD, prices, sizes

SETTLED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
interests = st.one_of(st.just(0), sizes)
terms = st.builds(FundingTerms, st.integers(0, WAD), st.integers(0, 10**14))


def state(longs: int, shorts: int) -> FundingState:
    return FundingState(longs, shorts, 0, 0, SETTLED_AT)


@pytest.mark.parametrize(("longs", "shorts", "sign"), [(150_000, 50_000, 1), (50_000, 150_000, -1)])
def test_the_published_example(longs: int, shorts: int, sign: int) -> None:
    # GMX's gmx-synthetics README, "Funding Fees": factor 1/50,000, exponent 1: 0.001 % a second is paid by the larger
    # side and 0.003 % received by the smaller.
    published = FundingTerms(WAD // 50_000, WAD)
    assert funding_rate_wad(longs * WAD, shorts * WAD, published) == sign * WAD // 100_000
    after = accrued(state(longs * WAD, shorts * WAD), published, price_wad=WAD, elapsed_seconds=1)
    paid, received = (after.long_index_wad, after.short_index_wad)[::sign]
    assert (paid, received) == (WAD // 100_000, -3 * WAD // 100_000)


def test_the_rate_is_bounded_and_nothing_is_paid_to_nobody() -> None:
    bounded = FundingTerms(WAD, 10**11)
    assert funding_rate_wad(3 * WAD, WAD, bounded) == 10**11
    assert funding_rate_wad(WAD, 3 * WAD, bounded) == -(10**11)
    assert funding_rate_wad(3 * WAD, 0, bounded) == funding_rate_wad(0, WAD, bounded) == 0
    assert accrued(state(3 * WAD, 0), bounded, price_wad=WAD, elapsed_seconds=9) == state(3 * WAD, 0)


@given(interests, interests, terms, prices, st.integers(0, 10 * 365 * 86_400))
def test_against_exact_fractions(longs: int, shorts: int, model: FundingTerms, price: int, seconds: int) -> None:
    after = accrued(state(longs, shorts), model, price_wad=price, elapsed_seconds=seconds)
    if not longs or not shorts:
        assert after == state(longs, shorts)
        return
    skew = Fraction(abs(longs - shorts), longs + shorts)
    rate = floor(min(model.factor_per_second_wad * skew, Fraction(model.max_rate_per_second_wad)))
    paid = ceil(Fraction(rate * seconds * price, WAD))
    received = floor(Fraction(paid * max(longs, shorts), min(longs, shorts)))
    assert (after.long_index_wad, after.short_index_wad) == ((paid, -received) if longs > shorts else (-received, paid))
    # What the crowd pays covers what the others get, and exceeds it by less than a unit of index a unit of theirs.
    assert 0 <= paid * max(longs, shorts) - received * min(longs, shorts) < min(longs, shorts)


@given(sizes, sizes, terms, prices, st.integers(1, 10**6), st.integers(1, 10**6))
def test_settling_in_between_loses_at_most_the_roundings(
    longs: int, shorts: int, model: FundingTerms, price: int, first: int, second: int
) -> None:
    whole = accrued(state(longs, shorts), model, price_wad=price, elapsed_seconds=first + second)
    half = accrued(state(longs, shorts), model, price_wad=price, elapsed_seconds=first)
    parts = accrued(half, model, price_wad=price, elapsed_seconds=second)
    payer = "long_index_wad" if longs > shorts else "short_index_wad"
    assert 0 <= getattr(parts, payer) - getattr(whole, payer) <= 1


def test_time_counts_in_whole_seconds_and_never_backwards() -> None:
    model, before = FundingTerms(10**10, 10**11), state(3 * WAD, WAD)
    at = SETTLED_AT + timedelta(seconds=10, milliseconds=999)
    after = funding_at(before, model, price_wad=100 * WAD, at=at)
    expected = accrued(before, model, price_wad=100 * WAD, elapsed_seconds=10)
    assert after.settled_at == SETTLED_AT + timedelta(seconds=10)
    assert (after.long_index_wad, after.short_index_wad) == (expected.long_index_wad, expected.short_index_wad)
    assert funding_at(before, model, price_wad=WAD, at=SETTLED_AT - timedelta(seconds=1)) == before
