"""What stands of a source when it is asked again: a table of every case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.oracle.maths.readings import candidate, merged, to_wad
from app.oracle.types.sources import Flaw, Reading, SourceRule

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
KNOWN = Reading(
    symbol="X", source="kraken", price=Decimal(100), confidence=Decimal(1), observed_at=NOW - timedelta(seconds=20)
)
FRESH = replace(KNOWN, price=Decimal(200), observed_at=NOW)
ROUND = replace(KNOWN, source="chainlink", round_id=7)


def flawed(flaw: Flaw) -> Reading:
    return Reading(symbol="X", source="kraken", flaw=flaw)


@pytest.mark.parametrize(
    ("known", "fresh", "stands"),
    [
        (None, FRESH, FRESH),
        (None, flawed(Flaw.UNAVAILABLE), flawed(Flaw.UNAVAILABLE)),
        (KNOWN, FRESH, FRESH),
        (KNOWN, flawed(Flaw.UNAVAILABLE), replace(KNOWN, flaw=Flaw.UNAVAILABLE)),
        (KNOWN, flawed(Flaw.REFUSED), replace(KNOWN, flaw=Flaw.REFUSED)),
        (replace(KNOWN, flaw=Flaw.UNAVAILABLE), FRESH, FRESH),
        (KNOWN, flawed(Flaw.HALTED), flawed(Flaw.HALTED)),
        (KNOWN, flawed(Flaw.ANSWER_INVALID), flawed(Flaw.ANSWER_INVALID)),
        (flawed(Flaw.HALTED), flawed(Flaw.UNAVAILABLE), flawed(Flaw.UNAVAILABLE)),
        (FRESH, KNOWN, FRESH),  # an answer that was overtaken
        (
            KNOWN,
            replace(FRESH, observed_at=NOW + timedelta(seconds=5)),
            replace(FRESH, observed_at=NOW + timedelta(seconds=5)),
        ),
        (KNOWN, replace(FRESH, observed_at=NOW + timedelta(seconds=6)), flawed(Flaw.FROM_THE_FUTURE)),
        (ROUND, replace(ROUND, round_id=8, price=Decimal(5)), replace(ROUND, round_id=8, price=Decimal(5))),
        (ROUND, replace(ROUND, round_id=6, price=Decimal(5)), replace(ROUND, flaw=Flaw.EARLIER_ROUND)),
        # the new aggregator's first round may be older than the old one's last: the round decides
        (
            ROUND,
            replace(ROUND, round_id=1 << 64 | 1, observed_at=NOW - timedelta(hours=1)),
            replace(ROUND, round_id=1 << 64 | 1, observed_at=NOW - timedelta(hours=1)),
        ),
        # a flaw forgets the price, and not which round was seen
        (
            ROUND,
            replace(flawed(Flaw.REVERTED), source="chainlink"),
            replace(flawed(Flaw.REVERTED), source="chainlink", round_id=7),
        ),
    ],
)
def test_what_stands(known: Reading | None, fresh: Reading, stands: Reading) -> None:
    assert merged(known, fresh, NOW, max_future_seconds=5) == stands


@given(st.integers(-(10**40), 10**40), st.integers(-36, 18))
def test_a_wad_is_rounded_down_and_a_half_width_up(units: int, exponent: int) -> None:
    value = Decimal((int(units < 0), tuple(map(int, str(abs(units)))), exponent))
    exact = Fraction(units) * Fraction(10) ** (exponent + 18)
    assert to_wad(value) == floor(exact)
    made = candidate("kraken", replace(KNOWN, confidence=value.copy_abs()), SourceRule(30, 1))
    assert made.confidence_wad == ceil(abs(exact))
