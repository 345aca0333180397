"""Price arithmetic and validity: tables and properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import AppError
from app.oracle.adapters import rules_from
from app.oracle.errors import UpdateInvalid
from app.oracle.maths.price import as_decimal, as_wad, confidence_bps
from app.oracle.maths.validity import REFUSALS, outside_window, sequencer_verdict, validities, validity
from app.oracle.types.prices import Action, ActionRule, Price, SequencerRule, Validity
from app.oracle.types.sources import Uptime
from app.oracle.types.updates import Window
from config.groups import OracleSettings
from tests.oracle.updates import BTC, NOW

PRICE = Price(
    feed=BTC,
    price=100_000_000,
    conf=2_000_000,
    expo=-8,
    publish_time=NOW,
    ema_price=100_000_000,
    ema_conf=1,
    slot=1,
    sequence=1,
)
RULE = ActionRule(max_age_seconds=60, max_confidence_bps=200)
VALUES = st.integers(-(2**63), 2**63 - 1)
EXPOS = st.integers(-36, 18)


@pytest.mark.parametrize(
    ("value", "expo", "decimal", "wad"),
    [
        (6_140_993_501_000, -8, "61409.93501000", 61_409_935_010_000_000_000_000),
        (12276250, -5, "122.76250", 122_762_500_000_000_000_000),
        (-1, -8, "-1E-8", -(10**10)),
        (0, -8, "0E-8", 0),
        (7, 3, "7E+3", 7_000 * 10**18),
        (15, -19, "1.5E-18", 1),
        (-15, -19, "-1.5E-18", -2),
        (1, -36, "1E-36", 0),
    ],
)
def test_a_price_in_decimals_and_in_wad(value: int, expo: int, decimal: str, wad: int) -> None:
    assert as_decimal(value, expo) == Decimal(decimal)
    assert as_wad(value, expo) == wad


def test_decimals_are_exact_whatever_the_context() -> None:
    with localcontext(prec=3):
        assert str(as_decimal(2**63 - 1, -8)) == "92233720368.54775807"


@given(VALUES, EXPOS)
def test_both_forms_are_the_same_number(value: int, expo: int) -> None:
    exact = Fraction(value) * Fraction(10) ** expo
    assert Fraction(as_decimal(value, expo)) == exact
    down, up = as_wad(value, expo), as_wad(value, expo, up=True)
    assert down <= exact * 10**18 <= up
    assert up - down <= (0 if expo >= -18 else 1)


@pytest.mark.parametrize("expo", [-37, 19, 2**31 - 1, -(2**31)])
def test_an_exponent_out_of_range_is_refused_before_any_power_is_taken(expo: int) -> None:
    with pytest.raises(UpdateInvalid):
        as_wad(1, expo)
    with pytest.raises(UpdateInvalid):
        as_decimal(1, expo)


@pytest.mark.parametrize(
    ("price", "conf", "bps"), [(10_000, 0, 0), (10_000, 1, 1), (10_001, 1, 1), (9_999, 1, 2), (1, 2**64 - 1, None)]
)
def test_confidence_is_rounded_against_the_price(price: int, conf: int, bps: int | None) -> None:
    assert confidence_bps(price, conf) == (conf * 10_000 if bps is None else bps)


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**64 - 1))
def test_confidence_is_the_least_bound_in_whole_bps(price: int, conf: int) -> None:
    bps = confidence_bps(price, conf)
    assert (bps - 1) * price < conf * 10_000 <= bps * price


def test_confidence_of_a_price_that_is_not_positive_has_no_meaning() -> None:
    with pytest.raises(ValueError, match="positive"):
        confidence_bps(0, 1)


@pytest.mark.parametrize(
    ("price", "verdict"),
    [
        (None, Validity.MISSING),
        (PRICE, Validity.FRESH),
        (replace(PRICE, price=0), Validity.NOT_POSITIVE),
        (replace(PRICE, price=-1), Validity.NOT_POSITIVE),
        (replace(PRICE, publish_time=NOW + timedelta(seconds=5)), Validity.FRESH),
        (replace(PRICE, publish_time=NOW + timedelta(seconds=6)), Validity.FROM_THE_FUTURE),
        (replace(PRICE, publish_time=NOW - timedelta(seconds=60)), Validity.FRESH),
        (replace(PRICE, publish_time=NOW - timedelta(seconds=61)), Validity.STALE),
        (replace(PRICE, conf=2_000_001), Validity.CONFIDENCE_TOO_WIDE),
        (replace(PRICE, conf=2_000_001, publish_time=NOW - timedelta(seconds=61)), Validity.STALE),
        (replace(PRICE, price=-1, publish_time=NOW - timedelta(days=9)), Validity.NOT_POSITIVE),
    ],
)
def test_the_gravest_reason_is_given(price: Price | None, verdict: Validity) -> None:
    assert validity(price, RULE, NOW, max_future_seconds=5) is verdict


def test_a_limit_that_is_not_set_is_not_judged() -> None:
    old_and_wide = replace(PRICE, conf=PRICE.price, publish_time=NOW - timedelta(days=9))
    assert validity(old_and_wide, ActionRule(None, None), NOW, 5) is Validity.FRESH


def test_each_action_has_its_own_rule() -> None:
    rules = rules_from(OracleSettings(), 1)
    assert rules.actions.keys() == set(Action)
    two_minutes_old = replace(PRICE, publish_time=NOW - timedelta(minutes=2))
    assert validities(two_minutes_old, rules, NOW) == {
        Action.OPEN: Validity.STALE,
        Action.MARGIN: Validity.STALE,
        Action.LIQUIDATE: Validity.FRESH,
        Action.FUNDING: Validity.FRESH,
    }
    wide = replace(PRICE, conf=PRICE.price // 10)
    assert validities(wide, rules, NOW) == {
        Action.OPEN: Validity.CONFIDENCE_TOO_WIDE,
        Action.MARGIN: Validity.CONFIDENCE_TOO_WIDE,
        Action.LIQUIDATE: Validity.FRESH,
        Action.FUNDING: Validity.CONFIDENCE_TOO_WIDE,
    }


@pytest.mark.parametrize(
    ("average", "verdict"),
    [
        (20_000_001, Validity.FRESH),
        (20_000_000, Validity.FRESH),  # exactly a fifth
        (19_999_999, Validity.FAR_FROM_AVERAGE),
        (500_000_000, Validity.FRESH),  # exactly five times
        (500_000_001, Validity.FAR_FROM_AVERAGE),
        (0, Validity.FAR_FROM_AVERAGE),
        (-1, Validity.FAR_FROM_AVERAGE),
    ],
)
def test_a_price_far_from_its_average_liquidates_nobody(average: int, verdict: Validity) -> None:
    price = replace(PRICE, price=100_000_000, conf=1, ema_price=average)
    assert validities(price, rules_from(OracleSettings(), 1), NOW)[Action.LIQUIDATE] is verdict


@pytest.mark.parametrize(
    ("uptime", "verdict"),
    [
        (None, Validity.SEQUENCER_UNKNOWN),
        (Uptime(True, NOW - timedelta(seconds=301), NOW), None),
        (Uptime(True, NOW - timedelta(seconds=300), NOW), Validity.SEQUENCER_STARTING),
        (Uptime(True, NOW - timedelta(days=9), NOW - timedelta(seconds=60)), None),
        (Uptime(True, NOW - timedelta(days=9), NOW - timedelta(seconds=61)), Validity.SEQUENCER_UNKNOWN),
        (Uptime(False, NOW - timedelta(days=9), NOW), Validity.SEQUENCER_DOWN),
        (Uptime(False, NOW, NOW - timedelta(seconds=61)), Validity.SEQUENCER_UNKNOWN),
    ],
)
def test_a_sequencer_must_run_for_some_time_and_be_known_to(uptime: Uptime | None, verdict: Validity | None) -> None:
    assert sequencer_verdict(uptime, SequencerRule(1, grace_seconds=300, max_age_seconds=60), NOW) is verdict


@given(st.integers(-10_000, 10_000))
def test_the_window_is_one_interval_around_now(offset: int) -> None:
    verdict = outside_window(NOW + timedelta(seconds=offset), Window(60, 5), NOW)
    if offset < -60:
        assert verdict is Validity.STALE
    elif offset > 5:
        assert verdict is Validity.FROM_THE_FUTURE
    else:
        assert verdict is None


def test_every_verdict_but_fresh_has_an_error_of_its_own() -> None:
    assert REFUSALS.keys() == set(Validity) - {Validity.FRESH}
    assert len({error.code for error in REFUSALS.values()}) == len(REFUSALS)
    assert all(issubclass(error, AppError) for error in REFUSALS.values())
