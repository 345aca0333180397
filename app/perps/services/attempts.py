"""Trying to liquidate: fresh price data, the position judged at it, the call rehearsed, its profit checked. Nothing is
written here; the network is waited on with no transaction open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.chain.types.calls import ContractCall, Rehearsal
from app.core.db import release
from app.core.errors import AppError
from app.oracle.errors import PriceMissing
from app.oracle.services.read import get_around
from app.oracle.types.prices import Action, Quote
from app.perps.maths.health import judged
from app.perps.maths.keeping import bonus_units, cost_wad, fate_of
from app.perps.maths.units import scaled_wad
from app.perps.queries.markets import markets_by_id
from app.perps.services.calls import contract_call, get_keeper
from app.perps.services.parts import PerpsParts, Sending
from app.perps.services.updates import MarketUpdate, fetch_updates
from app.perps.types.health import Verdict, Views
from app.perps.types.keeper import Attempt, Fate
from app.perps.types.positions import Position
from app.perps.types.protocol import PerpsProtocol


@dataclass(frozen=True, slots=True)
class Prepared:
    """An attempt; its call, where there is one to make, is good until `expires_at`: then its price is too old."""

    attempt: Attempt
    call: ContractCall | None = None
    expires_at: datetime | None = None


def prepare(
    session: Session,
    protocol: PerpsProtocol,
    positions: Sequence[Position],
    *,
    parts: PerpsParts,
    sending: Sending,
    clock: Callable[[], datetime],
) -> list[Prepared]:
    """What would come of liquidating each position now; PLANNED means that it should be done. The order is kept.

    Raises KeeperUnavailable, PriceMissing for the coin that pays for gas, and the node's failures.
    """
    markets = markets_by_id(session, protocol.name, {position.market_id for position in positions})
    now = clock()
    native_wad = native_price_wad(parts.quotes(session, now), parts.caps.native_feed)
    around = get_around(session, parts.rules, now)
    release(session)
    updates = fetch_updates(
        protocol, markets.values(), action=Action.LIQUIDATE, around=around, parts=parts, sending=sending, clock=clock
    )
    prepared = [_prepared(protocol, position, updates.get(position.market_id)) for position in positions]
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


def _prepared(protocol: PerpsProtocol, position: Position, update: MarketUpdate | AppError | None) -> Prepared:
    if isinstance(update, AppError):
        return Prepared(Attempt(position=position, fate=Fate.UNREACHED, detail=update.detail, error=update))
    if update is None:
        return Prepared(Attempt(position=position, fate=Fate.UNREACHED, detail="its market is not listed"))
    found = judged(position, Views({(position.protocol, position.market_id): update.view}, {}))
    if found.health is None:
        return Prepared(Attempt(position=position, fate=Fate.GONE, detail=found.reason or ""))
    if found.health.verdict is Verdict.SAFE:
        return Prepared(Attempt(position=position, fate=Fate.SAFE, health=found.health))
    return Prepared(
        Attempt(position=position, fate=Fate.PLANNED, health=found.health),
        contract_call(protocol, get_keeper(protocol).liquidate, update, position.key),
        update.view.published_at + timedelta(seconds=update.market.terms.max_price_age_seconds),
    )


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
