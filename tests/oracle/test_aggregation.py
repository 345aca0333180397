"""The aggregation's maths: published cases, tables, and what holds whatever the sources say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.oracle.maths.aggregation import (
    aggregate,
    capped_weights,
    cut_outliers,
    doubled_median,
    lower_weighted_median,
    quote_flaw,
    vote_confidence,
)
from app.oracle.types.sources import Aggregate, AggregateState, AggregationRules, Candidate, Flaw, NoPrice

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
RULES = AggregationRules(
    heartbeat_multiple=Decimal("1.5"),
    max_age_seconds=5400,
    max_future_seconds=5,
    outlier_min_quotes=4,
    outlier_multiple=Decimal(4),
    outlier_floor_bps=10,
    max_weight_bps=4999,
    min_sources=2,
    max_jump_bps=1000,
    ema_halflife_seconds=300,
)
FRESH = AggregateState()


def quote(price: int | None, *, conf: int = 0, age: float = 0, heartbeat: int = 60, **more: object) -> Candidate:
    """A source's price."""
    options: dict[str, object] = {"source": "binance", "weight": 1} | more
    return Candidate(
        price_wad=price,
        confidence_wad=conf,
        observed_at=NOW - timedelta(seconds=age),
        heartbeat_seconds=heartbeat,
        **options,  # type: ignore[arg-type]
    )


def come_to(*prices: int, state: AggregateState = FRESH, rules: AggregationRules = RULES) -> Aggregate:
    return aggregate("BTC/USD", [quote(price) for price in prices], state, rules, NOW)


# What publishers said and what Pyth's own aggregation made of it: pyth-network/pyth-client, test_data/aggregation,
# numbers 12, 14, 15, 21 and 35 (price, confidence; quotes).
PUBLISHED = [
    (10010510, 500, [(10010000, 10), (10010020, 10), (10011000, 10), (10011020, 10)]),
    (11000, 990, [(10000, 10), (10010, 10), (11000, 10), (11010, 10), (11500, 100)]),
    (13000, 2000, [(price, 1000) for price in range(10000, 17000, 1000)]),
    (
        11100,
        990,
        [(base + more, conf) for base in (10000, 11000, 12000) for more, conf in ((0, 100), (100, 200), (110, 130))],
    ),
    (
        3999400000000,
        3959390000000,
        [(4000000000000 + step * 100000000, 1000000000) for step in range(5)] + [(40000000000, 10000000)] * 2,
    ),
]


@pytest.mark.parametrize(("price", "confidence", "quotes"), PUBLISHED)
def test_the_votes_confidence_is_as_published(price: int, confidence: int, quotes: list[tuple[int, int]]) -> None:
    assert vote_confidence(price, quotes) == confidence


@pytest.mark.parametrize(
    ("candidate", "flaw"),
    [
        (quote(100), None),
        (quote(100, age=90), None),
        (quote(100, age=90.001), Flaw.STALE),
        (quote(100, heartbeat=3600, age=5400), None),
        (quote(100, heartbeat=86_400, age=5401), Flaw.STALE),  # the symbol's limit is below one and a half days
        (quote(100, age=-5), None),
        (quote(100, age=-5.001), Flaw.FROM_THE_FUTURE),
        (quote(0), Flaw.NOT_POSITIVE),
        (quote(-1), Flaw.NOT_POSITIVE),
        (quote(None), Flaw.MISSING),
        (quote(None, flaw=Flaw.HALTED), Flaw.HALTED),
        (quote(100, flaw=Flaw.UNAVAILABLE), None),  # silent now, and its last price still holds
    ],
)
def test_what_a_source_says_is_judged_by_its_own_heartbeat(candidate: Candidate, flaw: Flaw | None) -> None:
    assert quote_flaw(candidate, RULES, NOW) is flaw


@pytest.mark.parametrize(
    ("prices", "cut"),
    [
        ([100_000, 100_000, 100_000, 200_000], [200_000]),  # a MAD of zero: the floor decides
        ([100_000, 100_000, 100_000, 100_100], []),  # exactly at the floor of 10 bps
        ([100_000, 100_000, 100_000, 100_101], [100_101]),
        ([100_000, 200_000, 300_000], []),  # three cannot tell who is wrong
        # median 102.5, MAD 1.5: cut beyond 4 · 1.4826 · 1.5 = 8.8956
        ([100, 101, 102, 103, 104, 112], [112]),
        ([100, 101, 102, 103, 104, 111], []),
    ],
)
def test_outliers_are_cut_by_mad_with_a_floor(prices: list[int], cut: list[int]) -> None:
    judged = cut_outliers([replace(quote(price), used=True) for price in prices], RULES)
    assert [one.price_wad for one in judged if not one.used] == cut
    assert {one.flaw for one in judged if not one.used} <= {Flaw.OUTLIER}


@pytest.mark.parametrize(
    ("quotes", "median"),
    [
        ([(10, 1)], 10),
        ([(10, 1), (20, 1)], 10),
        ([(10, 1), (20, 1), (30, 1)], 20),
        ([(10, 1), (20, 1), (30, 1), (40, 1)], 20),
        ([(10, 100), (20, 1), (30, 1)], 20),  # uncapped it would be 10: nobody decides alone
        ([(10, 2), (20, 1), (30, 2)], 20),
        ([(30, 1), (20, 3), (10, 1), (40, 2)], 20),
    ],
)
def test_the_median_is_the_lower_one_of_capped_weights(quotes: list[tuple[int, int]], median: int) -> None:
    assert lower_weighted_median(quotes, 4999) == median


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=9), st.integers(1, 4999))
def test_no_weight_is_above_its_part_of_the_whole(weights: list[int], part: int) -> None:
    capped = capped_weights(weights, part)
    total = sum(capped)
    if len(weights) * part <= 10_000:
        assert len(set(capped)) == 1
        return
    assert all(Fraction(weight, total) <= Fraction(part, 10_000) + Fraction(1, 10**6) for weight in capped)
    assert all(after <= before * 10**12 for before, after in zip(weights, capped, strict=True))
    order = sorted(range(len(weights)), key=lambda place: weights[place])
    assert sorted(capped) == [capped[place] for place in order]


QUOTES = st.lists(st.tuples(st.integers(1, 10**30), st.integers(1, 100)), min_size=1, max_size=9)


@given(QUOTES, st.randoms())
def test_the_median_is_one_of_the_prices_in_any_order(quotes: list[tuple[int, int]], random: object) -> None:
    found = lower_weighted_median(quotes, 4999)
    assert found in [price for price, _ in quotes]
    random.shuffle(quotes)  # type: ignore[attr-defined]
    assert lower_weighted_median(quotes, 4999) == found


@given(st.lists(st.integers(0, 10**30), min_size=1, max_size=9))
def test_the_doubled_median_is_pythons(values: list[int]) -> None:
    ordered = sorted(values)
    half = len(values) // 2
    exact = Fraction(ordered[half]) if len(values) % 2 else Fraction(ordered[half - 1] + ordered[half], 2)
    assert doubled_median(values) == 2 * exact


@given(
    honest=st.lists(st.integers(99_900, 100_100), min_size=3, max_size=6),
    lie=st.integers(1, 10**9),
    weight=st.integers(1, 10**6),
)
def test_one_liar_however_heavy_moves_the_price_only_among_the_honest(honest: list[int], lie: int, weight: int) -> None:
    candidates = [*(quote(price) for price in honest), quote(lie, weight=weight)]
    found = aggregate("X", candidates, FRESH, RULES, NOW).price_wad
    assert found is not None
    assert min(honest) <= found <= max(honest)


def test_fewer_sources_than_wanted_are_no_price_and_never_the_last_one() -> None:
    before = come_to(100, 100)
    assert (before.price_wad, before.reason) == (100, None)
    alone = aggregate("BTC/USD", [quote(100), quote(100, age=91)], before.state, RULES, NOW)
    assert (alone.price_wad, alone.confidence_wad, alone.reason) == (None, None, NoPrice.TOO_FEW_SOURCES)
    assert [(one.used, one.flaw) for one in alone.sources] == [(True, None), (False, Flaw.STALE)]
    assert alone.state.last_wad == 100
    assert come_to().reason is NoPrice.TOO_FEW_SOURCES


def test_a_jump_needs_a_second_round_that_agrees() -> None:
    calm = come_to(1000, 1000).state
    assert come_to(1100, 1100, state=calm).price_wad == 1100  # exactly a tenth
    first = come_to(1101, 1101, state=calm)
    assert (first.price_wad, first.reason, first.state.pending_wad) == (None, NoPrice.JUMP_UNCONFIRMED, 1101)
    assert first.state.last_wad == 1000
    confirmed = come_to(1150, 1150, state=first.state)
    assert (confirmed.price_wad, confirmed.reason, confirmed.state.pending_wad) == (1150, None, None)
    back = come_to(1000, 1000, state=first.state)
    assert (back.price_wad, back.state.pending_wad) == (1000, None)
    elsewhere = come_to(2000, 2000, state=first.state)
    assert (elsewhere.price_wad, elsewhere.state.pending_wad) == (None, 2000)


def test_a_round_without_a_price_confirms_nothing() -> None:
    first = come_to(2000, 2000, state=come_to(1000, 1000).state)
    silent = come_to(2000, state=first.state)
    assert come_to(2000, 2000, state=silent.state).reason is NoPrice.JUMP_UNCONFIRMED


def test_near_the_average_is_no_jump() -> None:
    state = AggregateState(last_wad=1000, last_at=NOW, ema_wad=1200)
    assert come_to(1200, 1200, state=state).price_wad == 1200
