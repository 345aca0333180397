"""A protocol's past in memory: positions and markets folded event by event, judged at every recorded price.

An event costs O(log positions) and a shift in a list, a price O(markets + log positions) and what it endangers, once.
Memory is O(positions).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from app.oracle.types.prices import Price
from app.perps.maths.fold import folded
from app.perps.maths.health import judge, scan_bound
from app.perps.maths.market_fold import Listing, folded_market, folded_terms
from app.perps.maths.premium import settlements
from app.perps.maths.trigger import trigger_key
from app.perps.maths.views import market_view
from app.perps.types.changes import Changes, FundingEntry, MarketChange, PositionChange
from app.perps.types.health import MarketView, Verdict
from app.perps.types.markets import Market
from app.perps.types.positions import Liquidation, Position, PositionStatus, Side
from app.perps.types.protocol import PerpsProtocol
from app.perps.types.replay import Crossing

Ranked = list[tuple[float, str]]


class Past:
    """The protocol as it was. What became of the positions counts from the block `since`; `unforeseen` are the
    liquidations from there on that no price had announced.
    """

    def __init__(self, protocol: PerpsProtocol, since: int):
        self.protocol = protocol
        self.since = since
        self.unforeseen: list[Liquidation] = []
        self._ended: list[Crossing] = []
        self._crossed: dict[str, Crossing] = {}
        self._positions: dict[str, Position] = {}
        self._ranked: dict[tuple[str, Side], Ranked] = {}
        self._rank: dict[str, float] = {}
        self._terms: dict[str, list[MarketChange]] = {}
        self._listings: dict[str, Listing] = {}
        self._settled: dict[str, FundingEntry] = {}
        self._interest: dict[str, dict[Side, int]] = {}

    def crossings(self) -> tuple[Crossing, ...]:
        """Those seen so far, in the order they came, each with what became of its position."""
        return tuple(sorted([*self._ended, *self._crossed.values()], key=_when))

    def happen(self, changes: Changes) -> None:
        """Events came to pass."""
        for change in changes.markets:
            said = self._terms.setdefault(change.market_id, [])
            said.append(change)
            listing = folded_terms(said)
            if listing is not None:
                self._listings[change.market_id] = listing
        self._settled |= {entry.market_id: entry for entry in changes.funding}
        rules = self.protocol.section.funding
        premiums = settlements(
            changes.premiums, self._settled, period_seconds=rules.period_seconds, max_rate=rules.max_rate
        )
        self._settled |= {entry.market_id: entry for entry in premiums}
        for moved in changes.positions:
            self._change(moved)

    def see(self, price: Price, block_number: int | None) -> None:
        """A price was published while the chain was at the block: which positions does it endanger, as none before?"""
        for market in self._markets_of(price.feed):
            view = market_view(market, self.protocol.section, price, price.publish_time)
            for side in Side:
                ranked = self._ranked.get((market.market_id, side), [])
                for _, key in ranked[bisect_left(ranked, (scan_bound(view, side), "")) :]:
                    self._judge(key, view, block_number)

    def _judge(self, key: str, view: MarketView, block_number: int | None) -> None:
        position = self._positions[key]
        if position.holding is None:
            return
        health = judge(position, position.holding, view)
        if health.verdict is Verdict.SAFE:
            return
        self._unrank(position)
        self._crossed[key] = Crossing(
            key=key,
            market_id=position.market_id,
            block_number=block_number,
            published_at=view.published_at,
            price_wad=view.price_wad,
            verdict=health.verdict,
            shortfall_wad=health.shortfall_wad,
        )

    def _change(self, change: PositionChange) -> None:
        before = self._positions.get(change.key)
        fold = folded(self.protocol.name, before, [change])
        if before is not None:
            self._count(before, -1)
            self._unrank(before)
        after = fold.position
        if after is None:
            return
        self._positions[change.key] = after
        self._count(after, 1)
        if change.key not in self._crossed:
            self._rank_again(after)
            self.unforeseen += [one for one in fold.liquidations if one.place.block_number >= self.since]
        elif after.status is not PositionStatus.OPEN:
            crossing = self._crossed.pop(change.key)
            self._ended.append(
                replace(
                    crossing,
                    status=after.status,
                    ended_block_number=change.place.block_number,
                    liquidation=fold.liquidations[-1] if fold.liquidations else None,
                )
            )

    def _rank_again(self, position: Position) -> None:
        holding = position.holding
        if position.status is PositionStatus.OPEN and holding is not None and holding.size_wad > 0:
            rank = trigger_key(holding)
            self._rank[position.key] = rank
            insort(self._ranked.setdefault((position.market_id, position.side), []), (rank, position.key))

    def _unrank(self, position: Position) -> None:
        rank = self._rank.pop(position.key, None)
        if rank is not None:
            ranked = self._ranked[position.market_id, position.side]
            del ranked[bisect_left(ranked, (rank, position.key))]

    def _count(self, position: Position, sign: int) -> None:
        sides = self._interest.setdefault(position.market_id, dict.fromkeys(Side, 0))
        sides[position.side] += sign * position.open_size_wad

    def _markets_of(self, feed: bytes) -> Iterable[Market]:
        for market_id, listing in self._listings.items():
            if listing.terms.price_feed == feed:
                interest = self._interest.get(market_id, dict.fromkeys(Side, 0))
                yield folded_market(self.protocol, market_id, listing, self._settled.get(market_id), interest)


def _when(crossing: Crossing) -> tuple[datetime, int, str]:
    return crossing.published_at, -crossing.shortfall_wad, crossing.key
