"""Judging positions at a price that is only known to lie in an interval."""

from __future__ import annotations

from datetime import datetime

from app.perps.maths.funding import funding_at
from app.perps.maths.margin import health_factor, is_liquidatable, prospects
from app.perps.maths.thresholds import bankruptcy_price_wad, liquidation_price_wad
from app.perps.maths.trigger import trigger_bound
from app.perps.types.health import End, Health, MarketView, Point, Verdict
from app.perps.types.markets import FundingState, FundingTerms
from app.perps.types.positions import Holding, Position, Side


def points(
    state: FundingState, terms: FundingTerms, *, price_wad: int, confidence_wad: int, at: datetime
) -> dict[End, Point]:
    """The interval's ends and middle with the funding accrued at each; the low end is at least one unit."""
    prices = {
        End.LOW: max(1, price_wad - confidence_wad),
        End.MIDDLE: price_wad,
        End.HIGH: price_wad + confidence_wad,
    }
    return {end: Point(price, funding_at(state, terms, price_wad=price, at=at)) for end, price in prices.items()}


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
