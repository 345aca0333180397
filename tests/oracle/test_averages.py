"""Averages over uneven time, against other people's numbers and against what must hold."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.oracle.maths.averages import ema, twap

START = datetime(2027, 1, 15, 8, tzinfo=UTC)
WAD = 10**18


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("elapsed", "part"),
    [
        (0, "0"),
        (300, "0.5"),
        (600, "0.75"),
        (900, "0.875"),
        # 1 − 2^(−1/2), and 1 − 2^(−1/12), a semitone: from tables of powers of two
        (150, "0.292893218813452476"),
        (25, "0.056125687318306503"),
    ],
)
def test_the_average_moves_by_halves(elapsed: int, part: str) -> None:
    expected = int(Fraction(part) * WAD)
    assert abs(ema(0, WAD, timedelta(seconds=elapsed), 300) - expected) <= 1


def test_half_a_halflife_is_the_root_of_a_half() -> None:
    root = Fraction(math.isqrt(2 * 10**60), 2 * 10**30)
    assert ema(0, WAD, timedelta(days=2), 4 * 86_400) == round((1 - root) * WAD)


@given(
    previous=st.integers(-(10**30), 10**30),
    price=st.integers(-(10**30), 10**30),
    seconds=st.integers(0, 10**7),
    halflife=st.integers(1, 10**5),
)
def test_the_average_lies_between_the_old_one_and_the_price(
    previous: int, price: int, seconds: int, halflife: int
) -> None:
    found = ema(previous, price, timedelta(seconds=seconds), halflife)
    assert min(previous, price) <= found <= max(previous, price)


@given(price=st.integers(0, 10**30), one=st.integers(0, 10**4), other=st.integers(0, 10**4))
def test_two_steps_are_as_one(price: int, one: int, other: int) -> None:
    first = ema(ema(0, price, timedelta(seconds=one), 300), price, timedelta(seconds=other), 300)
    assert abs(first - ema(0, price, timedelta(seconds=one + other), 300)) <= 1


def test_time_does_not_run_back() -> None:
    with pytest.raises(ValueError, match="back in time"):
        ema(1, 2, timedelta(seconds=-1), 300)


@pytest.mark.parametrize(
    ("prices", "average"),
    [
        ([(0, 100)], 100),
        ([(0, 100), (5, 200)], 150),
        ([(0, 100), (9, 200)], 110),
        ([(-50, 100), (5, 200)], 150),  # held since before the start
        ([(5, 200)], 200),  # what was before nobody knows
        ([(0, 100), (5, 200), (20, 999)], 150),  # after the end
        ([(0, 1), (5, 2)], 1),  # rounded down
        ([(0, 100), (0, 300)], 300),
    ],
)
def test_a_price_weighs_what_it_held(prices: list[tuple[int, int]], average: int) -> None:
    assert twap([(at(second), price) for second, price in prices], at(0), at(10)) == average


def test_no_price_is_no_average() -> None:
    for prices in ([], [(at(10), 5)]):
        with pytest.raises(ValueError, match="no price held"):
            twap(prices, at(0), at(10))


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 10**24)), min_size=1, max_size=20))
def test_the_average_is_the_sum_over_every_second(ticks: list[tuple[int, int]]) -> None:
    ordered = sorted(dict(ticks).items())
    held = {second: price for start, price in ordered for second in range(start, 100)}
    exact = Fraction(sum(held.values()), len(held))
    assert twap([(at(second), price) for second, price in ordered], at(0), at(100)) == math.floor(exact)
