"""What a keeper does: liquidate positions, execute orders. A duty is what the two differ in; `attempts` and `planning`
do the rest the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.chain.types.calls import ContractCall
from app.oracle.types.prices import Action
from app.perps.errors import KeeperUnavailable
from app.perps.maths.health import judged
from app.perps.maths.orders import is_acceptable, is_tight, is_triggered
from app.perps.services.calls import contract_call, get_keeper
from app.perps.services.updates import MarketUpdate
from app.perps.types.health import Verdict, Views
from app.perps.types.keeper import EXECUTE_ORDER, LIQUIDATE, Attempt, Fate
from app.perps.types.orders import Order, OrderKind
from app.perps.types.positions import Position
from app.perps.types.protocol import PerpsProtocol


@dataclass(frozen=True, slots=True)
class Duty:
    """`price_action`: what the target's price must be good for. `decide`: its fate at an update's own price, PLANNED
    when the contract should be asked. `call`: the transaction. `purpose`: in words, for people."""

    action: str
    purpose: str
    price_action: Callable[[Any], Action]
    decide: Callable[[Any, MarketUpdate], Attempt]
    call: Callable[[PerpsProtocol, Any, MarketUpdate], ContractCall]


def order_price_action(kind: OrderKind) -> Action:
    """Opening asks for a price as good as any opening's; what closes is held up by no more than a liquidation is."""
    return Action.OPEN if kind is OrderKind.LIMIT else Action.LIQUIDATE


def _judge(position: Position, update: MarketUpdate) -> Attempt:
    found = judged(position, Views({(position.protocol, position.market_id): update.view}, {}))
    if found.health is None:
        return Attempt(target=position, fate=Fate.GONE, detail=found.reason or "")
    fate = Fate.SAFE if found.health.verdict is Verdict.SAFE else Fate.PLANNED
    return Attempt(target=position, fate=fate, health=found.health)


def _liquidation(protocol: PerpsProtocol, position: Position, update: MarketUpdate) -> ContractCall:
    return contract_call(protocol, get_keeper(protocol).liquidate, update, position=position.key)


def _look(order: Order, update: MarketUpdate) -> Attempt:
    if not is_triggered(order, update.view):
        return Attempt(target=order, fate=Fate.WAITING, detail="its price has not come")
    if not is_acceptable(order, update.view.price_wad):
        return Attempt(target=order, fate=Fate.WAITING, detail="the price is not acceptable")
    if order.kind is OrderKind.LIMIT and not is_tight(update.view, update.market.terms.max_confidence_bps):
        return Attempt(target=order, fate=Fate.WAITING, detail="the price is too wide to open by")
    return Attempt(target=order, fate=Fate.PLANNED)


def _execution(protocol: PerpsProtocol, order: Order, update: MarketUpdate) -> ContractCall:
    rule = get_keeper(protocol).execute_order
    if rule is None:
        raise KeeperUnavailable(f"The file of {protocol.name} names no call that executes an order.")
    return contract_call(protocol, rule, update, order=order.key)


LIQUIDATION = Duty(LIQUIDATE, "liquidate position", lambda _position: Action.LIQUIDATE, _judge, _liquidation)
EXECUTION = Duty(EXECUTE_ORDER, "execute order", lambda order: order_price_action(order.kind), _look, _execution)
