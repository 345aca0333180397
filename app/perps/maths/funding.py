"""Funding by the skew of open interest, as a cumulative index a side; O(1) a market, never a loop over positions.

Source: the exchange's own `_funding_rate` and `_indexes_at` (contracts/perp.vy), after GMX's MarketUtils: the crowded
side pays rate · seconds · price a unit, rounded up; what it pays together is shared by the other side's units, rounded
down; nothing while a side is empty. So a value at any later time equals the contract's to the unit.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from app.perps.maths.units import WAD, divide_up
from app.perps.types.markets import FundingState, FundingTerms


def funding_rate_wad(long_open_interest_wad: int, short_open_interest_wad: int, terms: FundingTerms) -> int:
    """The rate a second, a wad fraction of the notional; positive when longs pay. Rounded towards zero."""
    longs, shorts = long_open_interest_wad, short_open_interest_wad
    if longs == 0 or shorts == 0:
        return 0
    skewed = terms.factor_per_second_wad * abs(longs - shorts) // (longs + shorts)
    rate = min(skewed, terms.max_rate_per_second_wad)
    return rate if longs > shorts else -rate


def funding_at(state: FundingState, terms: FundingTerms, *, price_wad: int, at: datetime) -> FundingState:
    """The state as the contract would have it, were funding accrued at `at` and this price.

    `at` counts in whole seconds, as blocks do; a time before the last settlement changes nothing.
    """
    second = at.replace(microsecond=0)
    elapsed = (second - state.settled_at) // timedelta(seconds=1)
    if elapsed <= 0:
        return state
    return replace(accrued(state, terms, price_wad=price_wad, elapsed_seconds=elapsed), settled_at=second)


def accrued(state: FundingState, terms: FundingTerms, *, price_wad: int, elapsed_seconds: int) -> FundingState:
    """The indexes after so many seconds at this price; `settled_at` is left as it is."""
    longs, shorts = state.long_open_interest_wad, state.short_open_interest_wad
    rate = funding_rate_wad(longs, shorts, terms)
    if rate == 0:
        return state
    paid = divide_up(abs(rate) * elapsed_seconds * price_wad, WAD)
    received = paid * max(longs, shorts) // min(longs, shorts)
    on_longs, on_shorts = (paid, -received) if rate > 0 else (-received, paid)
    return replace(
        state, long_index_wad=state.long_index_wad + on_longs, short_index_wad=state.short_index_wad + on_shorts
    )
