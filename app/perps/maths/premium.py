"""Funding by premium: the market's price above the index's, owed by longs to shorts over a period.

Source: Perpetual v2's Exchange (`_getDeltaTwapX96`, `_getFundingGrowthGlobalAndTwaps`), which counts in 96 fractional
bits: its events say the two prices cut to wad, so that an index here is within a unit a settlement of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from app.perps.maths.units import WAD
from app.perps.types.changes import FundingEntry, Premium


def settlements(
    premiums: Iterable[Premium],
    newest: Mapping[str, FundingEntry],
    *,
    period_seconds: int,
    max_rate: Decimal | None,
) -> list[FundingEntry]:
    """The settlements that these premiums are, in the chain's order, each going on from the one before.

    The first of a market settles nothing. Premiums that are settled already are passed over. Rounded down.
    """
    before, found = dict(newest), []
    for premium in sorted(premiums, key=lambda one: one.place):
        last = before.get(premium.market_id)
        if last is not None and premium.place <= last.place:
            continue
        elapsed = 0 if last is None else (premium.place.mined_at - last.settled_at) // timedelta(seconds=1)
        delta = premium.market_price_wad - premium.price_wad
        if max_rate is not None:
            most = premium.price_wad * Fraction(max_rate) // 1
            delta = max(-most, min(most, delta))
        index = (0 if last is None else last.long_index_wad) + delta * elapsed // period_seconds
        entry = FundingEntry(
            market_id=premium.market_id,
            place=premium.place,
            rate_wad=delta * WAD // (premium.price_wad * period_seconds) if premium.price_wad else 0,
            long_index_wad=index,
            short_index_wad=-index,
            long_open_interest_wad=None,
            short_open_interest_wad=None,
            price_wad=premium.price_wad,
            elapsed_seconds=elapsed,
            settled_at=premium.place.mined_at,
        )
        before[premium.market_id] = entry
        found.append(entry)
    return found
