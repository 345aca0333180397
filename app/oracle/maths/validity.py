"""What a price is good for: one verdict for each action, by a rule table, with the reason.

Per action, not one flag (Drift's `oracle.rs`; Mars pull 217; SmarDex pull 95): opening and margin need a fresh and
tight price; a liquidation is not stopped by a wide interval, because it carries its own update for the contract. What
stops every action: no price at all, a sequencer that does not run, a jump that no second round has confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from app.core.errors import AppError
from app.oracle.errors import (
    ConfidenceTooWide,
    FarFromAverage,
    JumpUnconfirmed,
    PriceDeviates,
    PriceFromTheFuture,
    PriceMissing,
    PriceNotPositive,
    PriceStale,
    SequencerDown,
    SequencerStarting,
    SequencerUnknown,
)
from app.oracle.maths.price import BPS, WAD_DIGITS, as_wad, confidence_bps
from app.oracle.types.prices import Action, ActionRule, Around, Price, Rules, SequencerRule, Validity
from app.oracle.types.sources import Aggregate, NoPrice, Uptime
from app.oracle.types.updates import Window

# What is raised when a price is needed and its verdict is this.
REFUSALS: Mapping[Validity, type[AppError]] = {
    Validity.MISSING: PriceMissing,
    Validity.NOT_POSITIVE: PriceNotPositive,
    Validity.FROM_THE_FUTURE: PriceFromTheFuture,
    Validity.STALE: PriceStale,
    Validity.CONFIDENCE_TOO_WIDE: ConfidenceTooWide,
    Validity.SEQUENCER_UNKNOWN: SequencerUnknown,
    Validity.SEQUENCER_DOWN: SequencerDown,
    Validity.SEQUENCER_STARTING: SequencerStarting,
    Validity.JUMP_UNCONFIRMED: JumpUnconfirmed,
    Validity.FAR_FROM_AVERAGE: FarFromAverage,
    Validity.DEVIATES: PriceDeviates,
}


def validities(
    price: Price | None, rules: Rules, now: datetime, *, symbol: str = "", around: Around | None = None
) -> Mapping[Action, Validity]:
    """The verdict for every action: the first rule that the price breaks, the gravest first; FRESH when it breaks none.

    A price exactly at a limit passes. Without `around`, the price is judged by itself alone.
    """
    around = around or Around()
    aggregate = around.aggregates.get(symbol)
    return {
        action: _verdict(price, rule, rules, now, around.sequencer, aggregate) for action, rule in rules.actions.items()
    }


def _verdict(
    price: Price | None,
    rule: ActionRule,
    rules: Rules,
    now: datetime,
    sequencer: Validity | None,
    aggregate: Aggregate | None,
) -> Validity:
    if price is None:
        return Validity.MISSING
    if price.price <= 0:
        return Validity.NOT_POSITIVE
    if sequencer is not None:
        return sequencer
    alone = validity(price, rule, now, rules.max_future_seconds)
    if alone in (Validity.FROM_THE_FUTURE, Validity.STALE) or aggregate is None:
        return alone
    if aggregate.reason is NoPrice.JUMP_UNCONFIRMED:
        return Validity.JUMP_UNCONFIRMED
    if alone is Validity.FRESH and deviates(price, aggregate, rule):
        return Validity.DEVIATES
    return alone


def validity(price: Price | None, rule: ActionRule, now: datetime, max_future_seconds: int) -> Validity:
    """The verdict on the price by itself. The confidence is rounded up, against the price."""
    if price is None:
        return Validity.MISSING
    if price.price <= 0:
        return Validity.NOT_POSITIVE
    age = now - price.publish_time
    if age < timedelta(seconds=-max_future_seconds):
        return Validity.FROM_THE_FUTURE
    if rule.max_age_seconds is not None and age > timedelta(seconds=rule.max_age_seconds):
        return Validity.STALE
    if far_from_average(price, rule):
        return Validity.FAR_FROM_AVERAGE
    if rule.max_confidence_bps is not None and confidence_bps(price.price, price.conf) > rule.max_confidence_bps:
        return Validity.CONFIDENCE_TOO_WIDE
    return Validity.FRESH


def far_from_average(price: Price, rule: ActionRule) -> bool:
    """Is the price so many times its own moving average, or so small a part of it? An average that is not positive is
    none, and nothing is near it.
    """
    most = rule.max_average_multiple
    if most is None:
        return False
    return price.price > most * price.ema_price or price.ema_price > most * price.price


def deviates(price: Price, aggregate: Aggregate, rule: ActionRule) -> bool:
    """Is the price further from the aggregate than the rule allows? Without an aggregate there is nothing to deviate
    from.
    """
    if rule.max_deviation_bps is None or aggregate.price_wad is None:
        return False
    distance = abs(as_wad(price.price, price.expo) - aggregate.price_wad)
    return distance * BPS > rule.max_deviation_bps * aggregate.price_wad


def aggregate_price(aggregate: Aggregate) -> Price | None:
    """The aggregate as a price, which is as old as its round; None where the sources came to none."""
    if aggregate.price_wad is None or aggregate.confidence_wad is None:
        return None
    return Price(
        feed=b"",
        price=aggregate.price_wad,
        conf=aggregate.confidence_wad,
        expo=-WAD_DIGITS,
        publish_time=aggregate.as_of,
        ema_price=aggregate.state.ema_wad or aggregate.price_wad,
        ema_conf=0,
        slot=0,
        sequence=0,
    )


def aggregate_validities(
    aggregate: Aggregate, rules: Rules, now: datetime, around: Around
) -> Mapping[Action, Validity]:
    """The verdicts on an aggregate that is used as the price itself."""
    if aggregate.reason is NoPrice.JUMP_UNCONFIRMED:
        return dict.fromkeys(rules.actions, around.sequencer or Validity.JUMP_UNCONFIRMED)
    return validities(aggregate_price(aggregate), rules, now, around=Around(sequencer=around.sequencer))


def sequencer_verdict(uptime: Uptime | None, rule: SequencerRule, now: datetime) -> Validity | None:
    """Why nothing may be done on the chain now; None when its sequencer runs for longer than the grace period.

    What was learned too long ago is not known: a node that does not answer stops actions as a stopped sequencer does.
    """
    if uptime is None or now - uptime.asked_at > timedelta(seconds=rule.max_age_seconds):
        return Validity.SEQUENCER_UNKNOWN
    if not uptime.up:
        return Validity.SEQUENCER_DOWN
    if now - uptime.since <= timedelta(seconds=rule.grace_seconds):
        return Validity.SEQUENCER_STARTING
    return None


def outside_window(publish_time: datetime, window: Window, now: datetime) -> Validity | None:
    """STALE or FROM_THE_FUTURE when the time is outside the window around `now`; None inside it."""
    age = now - publish_time
    if age > timedelta(seconds=window.max_age_seconds):
        return Validity.STALE
    if age < timedelta(seconds=-window.max_future_seconds):
        return Validity.FROM_THE_FUTURE
    return None
