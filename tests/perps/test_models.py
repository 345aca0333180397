"""Funding models as pure formulas, against their sources' own test values; beside exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.perps.maths import velocity
from app.perps.maths.premium_samples import hour_premium, index_growth_wad, premium_wad, rate_wad, sample
from app.perps.maths.units import towards_zero

WAD = 10**18
PPM = 10**12  # a millionth, in wad


def wad(decimal: str) -> int:
    return int(Fraction(decimal) * WAD)


@pytest.mark.parametrize(
    ("bid", "ask", "index", "most", "ppm"),
    # dYdX v4's memclob_get_premium_price_test.go, by its impact prices.
    [
        ("9999", "10001", "10000", "1", 0),
        ("9998.2", "10001", "9000", "1", 110_911),
        ("9999", "10001.7", "10003", "1", -129),
        ("9999", "10001", "10001.9", "1", -89),
        ("9999.9", "10001", "9997.5", "1", 240),
        ("9999.58", "10001", "9999.82", "1", 0),
        ("9999.8", None, "10001", "0.1", 0),
        (None, "10000.1", "9999.5", "0.1", 0),
        (None, None, "10000", "0.1", 0),
        ("9999.9", "10001", "6000", "0.1", 100_000),
    ],
)
def test_premiums_of_dydx(bid: str | None, ask: str | None, index: str, most: str, ppm: int) -> None:
    prices = [None if price is None else wad(price) for price in (bid, ask)]
    found = premium_wad(*prices, wad(index), max_premium_wad=wad(most))
    assert towards_zero(found, PPM) == ppm


@pytest.mark.parametrize(
    ("rate_ppm", "quote_a_base", "seconds", "ppm"),
    # dYdX v4's funding_test.go; the price is quote quantums a base quantum.
    [
        (1_001_999, "0.001", 28_800, 1_001),
        (-1_001_999, "0.001", 28_800, -1_001),
        (-1_001_999, "10000000", 14_400, -5_009_995_000_000),
        (-1_001_999, "1000", 3_600, -125_249_875),
    ],
)
def test_index_deltas_of_dydx(rate_ppm: int, quote_a_base: str, seconds: int, ppm: int) -> None:
    assert towards_zero(index_growth_wad(rate_ppm * PPM, wad(quote_a_base), seconds), PPM) == ppm


@pytest.mark.parametrize(
    ("votes", "median"),
    # dYdX v4's lib/math_test.go.
    [
        ([2, 0, 1, 3, 4], 2),
        ([5, 11, 1, 3, 12, 50], 8),
        ([5, 12, 1, 3, 12, 50], 9),
        ([6, 11, 1, 3, 12, 50], 9),
        ([8, 1, -5, 100, -50, 59], 5),
    ],
)
def test_medians_of_dydx(votes: list[int], median: int) -> None:
    assert sample(votes, least=0) == median
    assert sample([-vote for vote in votes], least=0) == -median


def test_what_is_missing_counts_as_nothing() -> None:
    assert sample([100] * 7) == 0
    assert sample([100] * 8) == 100
    assert [hour_premium([100] * 60), hour_premium([100] * 30), hour_premium([-100] * 59)] == [100, 50, -98]


def test_an_hours_rate_is_bounded_by_what_the_margins_leave() -> None:
    margins = {"clamp_factor": 6, "initial_rate_wad": wad("0.05"), "margin_rate_wad": wad("0.03")}
    assert rate_wad(wad("0.01"), default_wad=wad("0.0001"), **margins) == wad("0.0101")
    assert rate_wad(wad("0.2"), default_wad=0, **margins) == wad("0.12")
    assert rate_wad(wad("-0.2"), default_wad=0, **margins) == -wad("0.12")


def test_the_velocity_of_synthetix() -> None:
    """PerpsMarket.sol: a skew of 300 in 10,000 moves at 0.025 a day; its comment says 0.0025, and goes on with that."""
    assert velocity.velocity_wad(300 * WAD, skew_scale_wad=10_000 * WAD, max_velocity_wad=wad("0.025")) == wad(
        "0.00075"
    )
    assert velocity.velocity_wad(1_000 * WAD, skew_scale_wad=10_000 * WAD, max_velocity_wad=wad("0.025")) == wad(
        "0.0025"
    )
    found = velocity.rate_at_wad(0, wad("0.0025"), 29_000)
    assert round(Fraction(found, WAD), 8) == Fraction("0.00083912")
    assert velocity.velocity_wad(WAD, skew_scale_wad=0, max_velocity_wad=WAD) == 0


def test_a_skew_beyond_the_scale_moves_no_faster() -> None:
    for skew in (10_000, 50_000):
        assert velocity.velocity_wad(skew * WAD, skew_scale_wad=10_000 * WAD, max_velocity_wad=WAD) == WAD
        assert velocity.velocity_wad(-skew * WAD, skew_scale_wad=10_000 * WAD, max_velocity_wad=WAD) == -WAD


signed = st.integers(-(10**22), 10**22)


@given(signed, st.integers(1, 10**24), st.integers(0, 10**20), st.integers(-(10**17), 10**17), st.integers(0, 10**7))
def test_velocity_against_exact_fractions(skew: int, scale: int, most: int, last: int, seconds: int) -> None:
    exact = max(Fraction(-1), min(Fraction(1), Fraction(skew, scale))) * most
    found = velocity.velocity_wad(skew, skew_scale_wad=scale, max_velocity_wad=most)
    assert abs(found - exact) <= 1 + Fraction(most, WAD)
    days = Fraction(seconds, 86_400)
    now = velocity.rate_at_wad(last, found, seconds)
    assert abs(now - (last + found * days)) <= 1 + Fraction(abs(found), WAD)
    price = 2_000 * WAD
    owed = velocity.index_growth_wad(last, now, price, seconds)
    bound = 2_000 * (1 + days) + Fraction(abs(last) + abs(now), WAD) * 2_000 + 1
    assert abs(owed - Fraction(last + now, 2) * days * 2_000) <= bound


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=120))
def test_samples_against_exact_fractions(samples: list[int]) -> None:
    exact = Fraction(sum(samples), max(60, len(samples)))
    assert 0 <= abs(exact) - abs(hour_premium(samples)) < 1
    padded = sorted(samples + [0] * (15 - len(samples)))
    low, high = padded[(len(padded) - 1) // 2], padded[len(padded) // 2]
    assert 0 <= abs(sample(samples)) - abs(Fraction(low + high, 2)) <= Fraction(1, 2)
