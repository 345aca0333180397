"""Judging positions by a market as it is seen: at a price that is only known to lie in an interval."""

from __future__ import annotations

from app.perps.maths.margin import health_factor, is_liquidatable, prospects
from app.perps.maths.thresholds import bankruptcy_price_wad, liquidation_price_wad
from app.perps.maths.trigger import trigger_bound
from app.perps.types.health import End, Health, Judged, MarketKey, MarketView, Verdict, Views
from app.perps.types.positions import Holding, Position, PositionStatus, Side

ENDED = "ended"
CROSS_MARGIN = "cross_margin"
UNLISTED = "unlisted"  # its market's listing has not been read


def judge(position: Position, holding: Holding, view: MarketView) -> Health:
    """The position's health in the market as it is seen."""
    middle = view.points[End.MIDDLE]
    index = middle.funding.index_wad(holding.side)
    return Health(
        position=position,
        verdict=verdict(holding, view),
        prospects=prospects(holding, middle.price_wad, index, view.margin),
        health_factor=health_factor(holding, middle.price_wad, index, view.margin),
        liquidation_price_wad=liquidation_price_wad(holding, index, view.margin),
        bankruptcy_price_wad=bankruptcy_price_wad(holding, index),
        price_wad=middle.price_wad,
        published_at=view.published_at,
        as_of=view.as_of,
    )


def judged(position: Position, views: Views) -> Judged:
    """The position's health, or why it has none: never a number from a price that is not fit for it."""
    key: MarketKey = (position.protocol, position.market_id)
    holding, view = position.holding, views.priced.get(key)
    if position.status is not PositionStatus.OPEN or position.size_wad == 0:
        return Judged(position, None, ENDED)
    if holding is None:
        return Judged(position, None, CROSS_MARGIN)
    if view is None:
        return Judged(position, None, views.unpriced.get(key, UNLISTED))
    return Judged(position, judge(position, holding, view), None)


def verdict(holding: Holding, view: MarketView) -> Verdict:
    """Judged at both ends of the interval, and at the price itself."""
    found = {
        is_liquidatable(holding, point.price_wad, point.funding.index_wad(holding.side), view.margin)
        for point in view.points.values()
    }
    if found == {True}:
        return Verdict.CERTAIN
    return Verdict.SAFE if found == {False} else Verdict.UNCERTAIN


def scan_bound(view: MarketView, side: Side) -> float:
    """Where a scan for this side begins: the lowest bound of the interval, so that no uncertain position is missed."""
    return min(
        trigger_bound(side, point.price_wad, point.funding.index_wad(side), view.margin)
        for point in view.points.values()
    )
