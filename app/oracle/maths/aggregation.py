"""Many sources' prices made into one, or into none. All prices are integers in wad; every rule is an argument.

1. A price that is not positive, dated ahead of the clock, or older than min(its source's heartbeat · multiple, the
   symbol's limit) is left out.
2. Of `outlier_min_quotes` or more, those further from the median than max(multiple · 1.4826 · MAD, a floor in parts of
   the median) are cut. The floor matters: quotes that agree have a MAD of zero.
3. The price is the lower weighted median: the smallest whose cumulative weight reaches half. No source weighs more than
   `max_weight_bps` of the whole, below a half, so that none decides alone.
4. Its confidence is by three votes a source (p − c, p, p + c): the larger distance from the price to the quartile
   votes, at ⌊k/4⌋ and k − 1 − ⌊k/4⌋ of k in order, as Pyth's publishers are aggregated (`price_model.c`).
5. Fewer than `min_sources`: no price, and never the last one.
6. A price further than `max_jump_bps` from both the last good one and its moving average needs a second round that
   agrees with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from app.oracle.maths.averages import ema
from app.oracle.types.sources import Aggregate, AggregateState, AggregationRules, Candidate, Flaw, NoPrice

BPS = 10_000
MAD_TO_SIGMA = Decimal("1.4826")
WEIGHT_UNIT = 10**12
"""Weights are scaled by this before they are capped, so that rounding a cap down takes nothing that counts."""


def aggregate(
    symbol: str, candidates: Sequence[Candidate], state: AggregateState, rules: AggregationRules, now: datetime
) -> Aggregate:
    """What the candidates come to at `now`, after what was before. O(candidates · log candidates)."""
    judged = [_judged(candidate, rules, now) for candidate in candidates]
    judged = cut_outliers(judged, rules)
    used = [candidate for candidate in judged if candidate.used]
    prices = [(candidate.price_wad or 0, candidate.weight) for candidate in used]
    if len(used) < rules.min_sources:
        return _outcome(symbol, judged, now, None, None, NoPrice.TOO_FEW_SOURCES, replace(state, pending_wad=None))
    price = lower_weighted_median(prices, rules.max_weight_bps)
    confidence = vote_confidence(price, [(one.price_wad or 0, one.confidence_wad) for one in used])
    if jumped(price, state, rules.max_jump_bps):
        waiting = replace(state, pending_wad=price)
        return _outcome(symbol, judged, now, None, None, NoPrice.JUMP_UNCONFIRMED, waiting)
    return _outcome(symbol, judged, now, price, confidence, None, moved_on(state, price, rules, now))


def quote_flaw(candidate: Candidate, rules: AggregationRules, now: datetime) -> Flaw | None:
    """Rule 1: why the price is left out by itself; exactly at a limit it is taken."""
    if candidate.price_wad is None or candidate.observed_at is None:
        return candidate.flaw or Flaw.MISSING
    if candidate.price_wad <= 0:
        return Flaw.NOT_POSITIVE
    age = now - candidate.observed_at
    if age < timedelta(seconds=-rules.max_future_seconds):
        return Flaw.FROM_THE_FUTURE
    own_limit = timedelta(milliseconds=int(candidate.heartbeat_seconds * rules.heartbeat_multiple * 1000))
    if age > min(own_limit, timedelta(seconds=rules.max_age_seconds)):
        return Flaw.STALE
    return None


def cut_outliers(candidates: Sequence[Candidate], rules: AggregationRules) -> list[Candidate]:
    """Rule 2: those that are used, without the ones that are too far from their median."""
    prices = [one.price_wad for one in candidates if one.used and one.price_wad is not None]
    if len(prices) < rules.outlier_min_quotes:
        return list(candidates)
    middle = doubled_median(prices)  # doubled, and so whole
    mad = doubled_median([abs(2 * price - middle) for price in prices])
    by_mad = rules.outlier_multiple * MAD_TO_SIGMA * mad / 2
    limit = max(by_mad, Decimal(rules.outlier_floor_bps * middle) / BPS)
    return [
        replace(one, used=False, flaw=Flaw.OUTLIER)
        if one.used and abs(2 * (one.price_wad or 0) - middle) > limit
        else one
        for one in candidates
    ]


def doubled_median(values: Sequence[int]) -> int:
    """Twice the median, which of an even number is the mean of the middle two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return 2 * ordered[half] if len(ordered) % 2 else ordered[half - 1] + ordered[half]


def lower_weighted_median(prices: Sequence[tuple[int, int]], max_weight_bps: int) -> int:
    """Rule 3, of (price, weight): the smallest price whose cumulative weight is at least half of the whole."""
    weights = capped_weights([weight for _, weight in prices], max_weight_bps)
    ordered = sorted(zip((price for price, _ in prices), weights, strict=True))
    total, reached = sum(weights), 0
    for price, weight in ordered:
        reached += weight
        if 2 * reached >= total:
            return price
    raise ValueError("there is no median of nothing")


def capped_weights(weights: Sequence[int], max_weight_bps: int) -> list[int]:
    """Weights of which none is more than the given part of their sum, the others as they are, scaled to large integers.

    Where there are too few for that (two, when each must be below a half), all count the same.
    """
    count = len(weights)
    if count * max_weight_bps <= BPS:
        return [WEIGHT_UNIT] * count
    scaled = [weight * WEIGHT_UNIT for weight in weights]
    largest_first = sorted(scaled, reverse=True)
    # With k of them at the cap c, and the rest R as it is: c = s · (k · c + R), for s the part. So many are capped as
    # leave the next one below the cap.
    for capped in range(count):
        rest = sum(largest_first[capped:])
        cap = max_weight_bps * rest // (BPS - capped * max_weight_bps)
        if largest_first[capped] <= cap:
            return [min(weight, cap) for weight in scaled]
    raise ValueError("weights are positive")


def vote_confidence(price: int, quotes: Sequence[tuple[int, int]]) -> int:
    """Rule 4, of (price, half width): the larger distance from `price` to the quartile votes."""
    votes = sorted(vote for middle, half in quotes for vote in (middle - half, middle, middle + half))
    quarter = len(votes) // 4
    return max(price - votes[quarter], votes[len(votes) - 1 - quarter] - price)


def jumped(price: int, state: AggregateState, max_jump_bps: int) -> bool:
    """Rule 6: does the price need a second round? Not when the round before came to about the same."""

    def far(other: int | None) -> bool:
        return other is not None and abs(price - other) * BPS > max_jump_bps * other

    confirmed = state.pending_wad is not None and not far(state.pending_wad)
    return far(state.last_wad) and far(state.ema_wad) and not confirmed


def moved_on(state: AggregateState, price: int, rules: AggregationRules, now: datetime) -> AggregateState:
    """The state after a good price; a price dated before the last one leaves the average as it is."""
    if state.ema_wad is None or state.last_at is None:
        return AggregateState(price, now, price)
    elapsed = max(now - state.last_at, timedelta(0))
    return AggregateState(price, now, ema(state.ema_wad, price, elapsed, rules.ema_halflife_seconds))


def _judged(candidate: Candidate, rules: AggregationRules, now: datetime) -> Candidate:
    flaw = quote_flaw(candidate, rules, now)
    return replace(candidate, used=True) if flaw is None else replace(candidate, used=False, flaw=flaw)


def _outcome(
    symbol: str,
    sources: Sequence[Candidate],
    now: datetime,
    price: int | None,
    confidence: int | None,
    reason: NoPrice | None,
    state: AggregateState,
) -> Aggregate:
    return Aggregate(
        symbol=symbol,
        as_of=now,
        price_wad=price,
        confidence_wad=confidence,
        reason=reason,
        sources=tuple(sources),
        state=state,
    )
