"""An order as the fold of its events, one event at a time, in the chain's order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.perps.types.changes import OrderChange
from app.perps.types.orders import Order, OrderStatus
from app.perps.types.vocabulary import Effect


def folded_order(protocol: str, order: Order | None, changes: Iterable[OrderChange]) -> Order | None:
    """What `changes` make of the order; None as long as nothing has created it."""
    for change in changes:
        order = _step(protocol, order, change)
    return order


def _step(protocol: str, order: Order | None, change: OrderChange) -> Order | None:
    if change.effect is Effect.ORDER_CREATED:
        return _created(protocol, change)
    if order is None:
        return None
    if order.status is not OrderStatus.OPEN:
        return replace(order, last=change.place)
    if change.effect is Effect.ORDER_CANCELLED:
        return replace(order, status=OrderStatus.CANCELLED, last=change.place)
    return replace(
        order,
        status=OrderStatus.EXECUTED,
        position_key=change.position_key or order.position_key,
        executed_price_wad=change.price_wad,
        executed_size_wad=order.size_wad if change.size_wad is None else change.size_wad,
        keeper=change.keeper,
        last=change.place,
    )


def _created(protocol: str, change: OrderChange) -> Order:
    if (
        change.owner is None
        or change.order_kind is None
        or change.side is None
        or change.size_wad is None
        or change.trigger_price_wad is None
    ):
        raise ValueError("an order has an owner, a kind, a side, a size and a trigger price")
    return Order(
        protocol=protocol,
        key=change.key,
        market_id=change.market_id,
        owner=change.owner,
        kind=change.order_kind,
        side=change.side,
        position_key=change.position_key,
        size_wad=change.size_wad,
        collateral_wad=change.collateral_wad,
        trigger_price_wad=change.trigger_price_wad,
        acceptable_price_wad=change.acceptable_price_wad,
        execution_fee_wad=change.execution_fee_wad,
        expires_at=change.expires_at,
        status=OrderStatus.OPEN,
        executed_price_wad=None,
        executed_size_wad=None,
        keeper=None,
        created=change.place,
        last=change.place,
    )
