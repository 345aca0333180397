"""Funding by our own authority: each slot of a market once, in order, by the chain as it was then.

A slot H is settled by the open interest and the terms of the last block until H, at the price of H, once a block after
H is indexed and final. A slot is due by what its market has settled last, not by who asks: so after an outage, and
after a fork that undid some, the next round settles all that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.chain.services.history import require_history
from app.chain.services.moments import FinalBlock, first_final_after, hold_chain
from app.oracle.errors import PriceMissing
from app.oracle.services.past import prices_at
from app.oracle.types.prices import Action, Price, Rules
from app.perps.errors import MarketNotFound
from app.perps.maths.slots import next_slot, settlement
from app.perps.maths.units import scaled_wad
from app.perps.queries import funding, markets, pnl
from app.perps.services.market_folds import listings_at
from app.perps.services.position_folds import fold_again
from app.perps.types.markets import Market
from app.perps.types.protocol import PerpsProtocol


@dataclass(slots=True)
class Settled:
    """How many settlements were made, the last slot, and the slot that has to wait for its final block."""

    count: int = 0
    last: datetime | None = None
    waiting: datetime | None = None
    unpriced: set[str] = field(default_factory=set)


def settle_due(
    session: Session,
    protocol: PerpsProtocol,
    market_id: str | None,
    *,
    rules: Rules,
    until: datetime,
    commit: Callable[[], None],
) -> Settled:
    """Settle the slots up to `until` that are due, the earliest first, of one market or of all; commits after each.

    A market without a price is left where it is, and holds up no other; raises PriceMissing for such after the rest is
    done, MarketNotFound, and HistoryMissing while events of the protocol are still being read.
    """
    require_history(session, [protocol.name])
    done = Settled()
    while settle_next(session, protocol, market_id, rules=rules, until=until, done=done):
        commit()
    if done.unpriced:
        raise PriceMissing("There is no price to settle funding by.", markets=sorted(done.unpriced))
    return done


def settle_next(
    session: Session, protocol: PerpsProtocol, market_id: str | None, *, rules: Rules, until: datetime, done: Settled
) -> bool:
    """Settle the earliest slot that is due, in every market whose next one it is; returns whether there was one.

    O(markets), and what happened since the slot; never a loop over positions.
    """
    hold_chain(session, protocol.chain_id)
    slot_at, found = _due(session, protocol, market_id, leaving=done.unpriced)
    if slot_at is None or slot_at > until:
        return False
    block = first_final_after(session, protocol.chain_id, protocol.name, slot_at)
    if block is None:
        done.waiting = slot_at
        return False
    feeds = {one.terms.get_feed() for one in found}
    prices = prices_at(session, feeds, action=Action.FUNDING, rules=rules, at=slot_at)
    done.unpriced |= {one.market_id for one in found if one.terms.get_feed() not in prices}
    priced = [one for one in found if one.terms.get_feed() in prices]
    if priced:
        _settle(session, protocol, priced, prices, slot_at, block)
        done.count, done.last = done.count + len(priced), slot_at
    return True


def _due(
    session: Session, protocol: PerpsProtocol, market_id: str | None, *, leaving: Collection[str]
) -> tuple[datetime | None, list[Market]]:
    """The earliest slot that no settlement has reached yet, and whose it is."""
    listed = markets.list_markets(session, protocol.name)
    if market_id is not None:
        listed = [one for one in listed if one.market_id == market_id]
        if not listed:
            raise MarketNotFound(f"{protocol.name} has no market {market_id[:100]}.")
    seconds = protocol.section.funding.slot_seconds
    slots = [(next_slot(one.funding.settled_at, seconds), one) for one in listed if one.market_id not in leaving]
    earliest = min((slot for slot, _ in slots), default=None)
    return earliest, [one for slot, one in slots if slot == earliest]


def _settle(
    session: Session,
    protocol: PerpsProtocol,
    found: Sequence[Market],
    prices: dict[bytes, Price],
    slot_at: datetime,
    block: FinalBlock,
) -> None:
    moved = pnl.since(session, protocol.name, {one.market_id: slot_at for one in found})
    changed = [one.market_id for one in found if one.terms_changed_at > slot_at]
    terms = listings_at(session, protocol, changed, at=slot_at)
    entries = []
    for market in found:
        back = moved.get(market.market_id, pnl.NOTHING_SINCE)
        state = replace(
            market.funding,
            long_open_interest_wad=market.funding.long_open_interest_wad - back.longs_wad,
            short_open_interest_wad=market.funding.short_open_interest_wad - back.shorts_wad,
        )
        price = prices[market.terms.get_feed()]
        entries.append(
            settlement(
                market.market_id,
                state,
                terms[market.market_id].terms.funding if market.market_id in terms else market.terms.funding,
                price_wad=max(1, scaled_wad(price.price, -price.expo)),
                slot_at=slot_at,
                block_number=block.number,
                block_hash=block.hash,
            )
        )
    funding.settle(session, protocol.name, entries)
    fold_again(session, protocol, {key for since in moved.values() for key in since.keys})
