"""What would have been liquidated in a past range of blocks, and when, by the recorded prices; nothing is written.

O(events up to the range's end + prices in it), each · log positions; the memory holds every position and price of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from heapq import merge
from typing import Any

from sqlalchemy.orm import Session

from app.chain.services.stored_events import read_block_times, read_history
from app.chain.types.blocks import Event
from app.oracle.services.past import read_prices
from app.oracle.services.read import quote
from app.oracle.types.prices import Action, Around, Feed, FeedPrice, Price, Rules, Validity
from app.perps.errors import NothingToReplay
from app.perps.maths.replay import Past
from app.perps.queries.markets import list_markets
from app.perps.services.reading import read_changes
from app.perps.services.shown import rfc3339_or_none, show_liquidation, shown_wad
from app.perps.types.protocol import PerpsProtocol
from app.perps.types.replay import Crossing, Replay
from app.perps.types.vocabulary import MarginKind

# When, which comes first in the same second, and what.
Moment = tuple[datetime, int, Price | Event]


def replay(session: Session, protocol: PerpsProtocol, rules: Rules, *, from_block: int, to_block: int) -> Replay:
    """Fold the protocol's events up to `to_block`, and judge every position at each price recorded in the range.

    A price counts once, for the position that it endangers first, if it was good enough to liquidate by. Where a price
    and a block have the same second, the price comes first. Raises NothingToReplay where no position is judged by
    itself, or no block of the range has a known time.
    """
    if protocol.section.feed_field is None or protocol.section.margin.kind is MarginKind.CROSS:
        raise NothingToReplay(f"No position of {protocol.name} is judged by itself.")
    blocks = read_block_times(session, protocol.chain_id, from_block, to_block)
    if not blocks:
        raise NothingToReplay(f"Of the blocks {from_block} to {to_block} none has a stored event, or is recent.")
    start_at, end_at = blocks[0][1], blocks[-1][1]
    prices = _prices(session, protocol, start_at, end_at, rules)
    past, events = Past(protocol, from_block), 0
    times = [mined_at for _, mined_at in blocks]
    for at, _, one in merge(_priced(prices), _told(session, protocol, to_block), key=lambda item: item[:2]):
        if isinstance(one, Price):
            past.see(one, _block_at(blocks, times, at))
        else:
            past.happen(read_changes(protocol, [one]))
            events += 1
    return Replay(
        protocol=protocol.name,
        from_block=from_block,
        to_block=to_block,
        start_at=start_at,
        end_at=end_at,
        events=events,
        prices=len(prices),
        crossings=past.crossings(),
        unforeseen=tuple(past.unforeseen),
    )


def _priced(prices: Sequence[Price]) -> Iterator[Moment]:
    return ((price.publish_time, 0, price) for price in prices)


def _told(session: Session, protocol: PerpsProtocol, last: int) -> Iterator[Moment]:
    return ((event.mined_at, 1, event) for event in read_history(session, protocol.contract_set, last))


def _prices(
    session: Session, protocol: PerpsProtocol, start_at: datetime, end_at: datetime, rules: Rules
) -> list[Price]:
    """Those that were good enough to liquidate by when they were published, the oldest first."""
    feeds = {one.terms.price_feed for one in list_markets(session, protocol.name)} - {None}
    found = [price for feed in feeds if feed is not None for price in read_prices(session, feed, start_at, end_at)]
    return sorted((one for one in found if _is_usable(one, rules)), key=lambda one: (one.publish_time, one.feed))


def _is_usable(price: Price, rules: Rules) -> bool:
    known = quote(FeedPrice(Feed(price.feed, ""), price), rules, price.publish_time, Around())
    return known.validity[Action.LIQUIDATE] is Validity.FRESH


def _block_at(blocks: Sequence[tuple[int, datetime]], times: Sequence[datetime], at: datetime) -> int | None:
    """The newest block of the range whose time is known and not after `at`."""
    place = bisect_right(times, at)
    return blocks[place - 1][0] if place else None


def show_replay(found: Replay) -> dict[str, Any]:
    """The report as plain JSON; amounts are decimals in strings."""
    return {
        "protocol": found.protocol,
        "from_block": found.from_block,
        "to_block": found.to_block,
        "start_at": rfc3339_or_none(found.start_at),
        "end_at": rfc3339_or_none(found.end_at),
        "events": found.events,
        "prices": found.prices,
        "would_have_been_liquidated": [_show_crossing(one) for one in found.crossings],
        "liquidated_unforeseen": [show_liquidation(one) for one in found.unforeseen],
    }


def replay_text(found: Replay) -> str:
    """The report for a person: a line a position."""
    lines = [
        f"{found.protocol}, blocks {found.from_block} to {found.to_block}: {found.events} events,"
        f" {found.prices} prices; {len(found.crossings)} positions would have been liquidated"
    ]
    for one in found.crossings:
        was = f"{one.status}" if one.ended_block_number is None else f"{one.status} in block {one.ended_block_number}"
        lines.append(
            f"position {one.key:<8} market {one.market_id:<6} block {one.block_number}  price"
            f" {shown_wad(one.price_wad)}  shortfall {shown_wad(one.shortfall_wad)}  {one.verdict}; it was {was}"
        )
    lines += [
        f"position {one.key:<8} market {one.market_id:<6} liquidated in block {one.place.block_number}, which no"
        " recorded price had announced"
        for one in found.unforeseen
    ]
    return "\n".join(lines)


def _show_crossing(one: Crossing) -> dict[str, Any]:
    return {
        "position": one.key,
        "market_id": one.market_id,
        "block_number": one.block_number,
        "price_published_at": rfc3339_or_none(one.published_at),
        "price": shown_wad(one.price_wad),
        "verdict": str(one.verdict),
        "shortfall": shown_wad(one.shortfall_wad),
        "status": str(one.status),
        "ended_block_number": one.ended_block_number,
        "liquidation": None if one.liquidation is None else show_liquidation(one.liquidation),
    }
