"""Trying to liquidate or to execute: fresh price data, the target judged at it, the call rehearsed, its profit checked.
Nothing is written here; the network is waited on with no transaction open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.chain.types.calls import ContractCall, Rehearsal
from app.core.db import release
from app.core.errors import AppError
from app.oracle.errors import PriceMissing
from app.oracle.services.read import get_around
from app.oracle.types.prices import Action, Around, Quote
from app.perps.maths.keeping import bonus_units, cost_wad, fate_of
from app.perps.maths.units import scaled_wad
from app.perps.queries.markets import markets_by_id
from app.perps.services.calls import get_keeper
from app.perps.services.duties import Duty
from app.perps.services.parts import PerpsParts, Sending
from app.perps.services.updates import MarketUpdate, fetch_updates
from app.perps.types.keeper import Attempt, Fate, Target
from app.perps.types.markets import Market
from app.perps.types.orders import Order
from app.perps.types.protocol import PerpsProtocol


@dataclass(frozen=True, slots=True)
class Prepared:
    """An attempt; its call, where there is one to make, is good until `expires_at`: then its price is too old, or the
    order has expired. `priced_at`: when that price was published."""

    attempt: Attempt
    call: ContractCall | None = None
    expires_at: datetime | None = None
    priced_at: datetime | None = None


def prepare(
    session: Session,
    protocol: PerpsProtocol,
    targets: Sequence[Target],
    *,
    duty: Duty,
    parts: PerpsParts,
    sending: Sending,
    clock: Callable[[], datetime],
) -> list[Prepared]:
    """What would come of doing the duty by each target now; PLANNED means that it should be done. The order is kept.

    Raises KeeperUnavailable, PriceMissing for the coin that pays for gas, and the node's failures.
    """
    markets = markets_by_id(session, protocol.name, {target.market_id for target in targets})
    now = clock()
    native_wad = native_price_wad(parts.quotes(session, now), parts.caps.native_feed)
    around = get_around(session, parts.rules, now)
    release(session)
    updates = _updates(protocol, markets, targets, duty=duty, around=around, parts=parts, sending=sending, clock=clock)
    prepared = [_prepared(protocol, target, duty, updates.get(_place(duty, target))) for target in targets]
    rehearsals = iter(sending.rehearse([one.call for one in prepared if one.call is not None]))
    return [
        one if one.call is None else _rehearsed(protocol, one, next(rehearsals), parts, native_wad) for one in prepared
    ]


def native_price_wad(quotes: Sequence[Quote], name: str | None) -> int | None:
    """The last known price of the coin that pays for gas, however old: that is enough to hold a bonus against a cost.

    None when no feed is named; raises PriceMissing when the named one has no price.
    """
    if name is None:
        return None
    for found in quotes:
        price = found.price
        if name in (found.feed.symbol, "0x" + found.feed.id.hex()) and price is not None and price.price > 0:
            return scaled_wad(price.price, -price.expo)
    raise PriceMissing(f"There is no price of {name}, by which gas is reckoned.", feeds=[name])


def _place(duty: Duty, target: Target) -> tuple[Action, str]:
    return duty.price_action(target), target.market_id


def _updates(
    protocol: PerpsProtocol,
    markets: Mapping[str, Market],
    targets: Sequence[Target],
    *,
    duty: Duty,
    around: Around,
    parts: PerpsParts,
    sending: Sending,
    clock: Callable[[], datetime],
) -> dict[tuple[Action, str], MarketUpdate | AppError]:
    """Update data for each market that is needed, by what its price must be good for."""
    wanted: dict[Action, set[str]] = {}
    for action, market_id in (_place(duty, target) for target in targets):
        wanted.setdefault(action, set()).add(market_id)
    found: dict[tuple[Action, str], MarketUpdate | AppError] = {}
    for action, names in wanted.items():
        listed = [market for name, market in markets.items() if name in names]
        fetched = fetch_updates(
            protocol, listed, action=action, around=around, parts=parts, sending=sending, clock=clock
        )
        found |= {(action, market_id): update for market_id, update in fetched.items()}
    return found


def _prepared(protocol: PerpsProtocol, target: Target, duty: Duty, update: MarketUpdate | AppError | None) -> Prepared:
    if isinstance(update, AppError):
        return Prepared(Attempt(target=target, fate=Fate.UNREACHED, detail=update.detail, error=update))
    if update is None:
        return Prepared(Attempt(target=target, fate=Fate.UNREACHED, detail="its market is not listed"))
    attempt = duty.decide(target, update)
    if attempt.fate is not Fate.PLANNED:
        return Prepared(attempt)
    priced_at = update.view.published_at
    expires_at = priced_at + timedelta(seconds=update.market.terms.max_price_age_seconds)
    if isinstance(target, Order) and target.expires_at is not None:
        expires_at = min(expires_at, target.expires_at)
    return Prepared(attempt, duty.call(protocol, target, update), expires_at, priced_at)


def _rehearsed(
    protocol: PerpsProtocol, one: Prepared, rehearsal: Rehearsal, parts: PerpsParts, native_wad: int | None
) -> Prepared:
    fate = fate_of(rehearsal, get_keeper(protocol))
    if fate is not Fate.PLANNED or rehearsal.max_cost_wei is None:
        detail = rehearsal.reason or (rehearsal.failure.detail if rehearsal.failure else "")
        return Prepared(replace(one.attempt, fate=fate, detail=detail, error=rehearsal.failure))
    bonus = scaled_wad(bonus_units(rehearsal.returned), protocol.section.decimals.quote)
    cost = None if native_wad is None else cost_wad(rehearsal.max_cost_wei, native_wad)
    attempt = replace(one.attempt, bonus_wad=bonus, cost_wad=cost)
    if cost is not None and bonus - cost < parts.caps.min_profit_wad:
        return Prepared(replace(attempt, fate=Fate.UNPROFITABLE, detail="the bonus does not cover the cost"))
    return replace(one, attempt=attempt)
