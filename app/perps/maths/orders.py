"""Has an order's price come? Exact integers, by the end of the price's interval that is worse for the trader."""

from __future__ import annotations

from app.perps.types.health import End, MarketView
from app.perps.types.orders import Order, OrderKind, Waits, buys
from app.perps.types.positions import Side

BPS = 10_000


def deciding_wad(kind: OrderKind, side: Side, view: MarketView) -> int:
    """The end that decides: a buyer's price is the interval's highest, a seller's its lowest."""
    return view.points[End.HIGH if buys(kind, side) else End.LOW].price_wad


def is_triggered(order: Order, view: MarketView) -> bool:
    """Has the price come to the trigger? Equality counts."""
    price_wad = deciding_wad(order.kind, order.side, view)
    if order.waits is Waits.BELOW:
        return price_wad <= order.trigger_price_wad
    return price_wad >= order.trigger_price_wad


def is_acceptable(order: Order, price_wad: int) -> bool:
    """Would the trader take the price itself? Equality counts."""
    if order.acceptable_price_wad is None:
        return True
    return price_wad <= order.acceptable_price_wad if order.buys else price_wad >= order.acceptable_price_wad


def is_tight(view: MarketView, max_confidence_bps: int) -> bool:
    """Is half the interval at most this part of the price? The market asks that of prices to open by."""
    half_wad = view.points[End.HIGH].price_wad - view.price_wad
    return half_wad * BPS <= view.price_wad * max_confidence_bps
