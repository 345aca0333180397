"""A trader's own transaction, unsigned: the file's call with fresh update data, and the data's fee as its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from sqlalchemy.orm import Session

from app.chain.types.calls import ContractCall
from app.core.db import release
from app.core.errors import InvalidInput
from app.oracle.services.read import get_around, usable_price
from app.oracle.types.prices import Action
from app.perps.errors import ActionUnavailable, MarketNotFound, PositionEnded, PositionNotFound
from app.perps.maths.calls import call_values, encode_update_fee
from app.perps.maths.units import WORD
from app.perps.queries.markets import list_markets
from app.perps.queries.positions import positions_by_key
from app.perps.services.calls import filled_call
from app.perps.services.parts import Building, quote_of
from app.perps.services.protocols import get_protocol
from app.perps.types.client import MAX_UPDATED, BuiltCall, ClientAction, Order, PricedUpdate
from app.perps.types.markets import Market
from app.perps.types.positions import PositionStatus, Side
from app.perps.types.protocol import PerpsProtocol

LARGEST = 2**255 - 1
EXACT = Context(prec=200)


def get_price_update(
    session: Session, name: str | None, markets: Sequence[str] | None, *, parts: Building
) -> PricedUpdate:
    """Fresh update data of these markets' feeds (by id or symbol; of all when none are named), and its fee.

    The protocol may be left out where there is only one. Raises InvalidInput where it may not, and for more than
    `MAX_UPDATED` markets; ProtocolNotFound, MarketNotFound, ActionUnavailable for a protocol without a price, the
    oracle's failures and the node's. The network is waited on with no transaction open.
    """
    if name is None and len(parts.protocols) != 1:
        raise InvalidInput(errors=[{"pointer": "?protocol", "detail": "More than one can be meant; say which."}])
    protocol = parts.protocols[0] if name is None else get_protocol(parts.protocols, name)
    listed = list_markets(session, protocol.name)
    found = listed if markets is None else [_market(protocol, listed, market) for market in markets]
    release(session)
    if not 1 <= len(found) <= MAX_UPDATED:
        detail = f"{protocol.name} has {len(found)} markets; name 1 to {MAX_UPDATED}."
        raise InvalidInput(errors=[{"pointer": "?market", "detail": detail}])
    return _priced(protocol, tuple(dict.fromkeys(found)), parts)


def build_call(session: Session, order: Order, *, parts: Building, clock: Callable[[], datetime]) -> BuiltCall:
    """The call that does what `order` says; nothing is sent, and nobody's key is asked for.

    An opening needs a price that is good for `open`, taking collateral out one that is good for `margin`; closing and
    adding collateral lower a risk, and only need update data that the contract would take. Raises ProtocolNotFound,
    MarketNotFound, PositionNotFound, PositionEnded, ActionUnavailable, InvalidInput for an amount that the contract
    cannot hold, the oracle's failures and the node's.
    """
    protocol = get_protocol(parts.protocols, order.protocol)
    rule = getattr(protocol.section.client, order.action)
    if rule is None:
        raise ActionUnavailable(f"The file of {protocol.name} does not describe `{order.action}`.")
    market, key = _about(session, protocol, order)
    amounts = _amounts(protocol, order)
    around = get_around(session, parts.rules, clock())
    release(session)
    update = _priced(protocol, (market,), parts)
    quote = quote_of(market, update.update, parts.rules, clock(), around)
    if (action := needed_for(order)) is not None:
        usable_price(quote, action)
    values = call_values(protocol.section, market_id=market.market_id, position=key, update_data=update.update.data)
    published_at = min(price.publish_time for price in update.update.prices)
    return BuiltCall(
        call=filled_call(protocol, rule, {**values, **amounts}, update.fee_wei),
        update=update,
        expires_at=published_at + timedelta(seconds=market.terms.max_price_age_seconds),
    )


def needed_for(order: Order) -> Action | None:
    """What the price must be good for; None where the order lowers a risk."""
    if order.action is ClientAction.OPEN:
        return Action.OPEN
    takes_out = order.collateral_delta is not None and order.collateral_delta < 0
    return Action.MARGIN if takes_out else None


def _priced(protocol: PerpsProtocol, markets: tuple[Market, ...], parts: Building) -> PricedUpdate:
    if protocol.section.price is None or any(market.terms.price_feed is None for market in markets):
        raise ActionUnavailable(f"{protocol.name} has no price that update data could be of.")
    update = parts.update(list(dict.fromkeys(market.terms.get_feed() for market in markets)))
    contract = protocol.section.price.get_contract()
    answer = parts.read(ContractCall(contract, encode_update_fee(update.data)))
    return PricedUpdate(
        chain_id=protocol.chain_id,
        contract=contract,
        update=update,
        fee_wei=int.from_bytes(answer[:WORD], "big"),
        markets=markets,
    )


def _about(session: Session, protocol: PerpsProtocol, order: Order) -> tuple[Market, str | None]:
    """The market that the order is about, and the position's key, where there is one."""
    if order.position is None:
        return _market(protocol, list_markets(session, protocol.name), order.market or ""), None
    position = positions_by_key(session, protocol.name, [order.position]).get(order.position)
    if position is None:
        raise PositionNotFound(f"{protocol.name} has no position {order.position[:100]}.")
    if position.status is not PositionStatus.OPEN:
        raise PositionEnded(f"Position {position.key} is {position.status}.")
    return _market(protocol, list_markets(session, protocol.name), position.market_id), position.key


def _market(protocol: PerpsProtocol, listed: Sequence[Market], name: str) -> Market:
    for market in listed:
        if name in (market.market_id, market.terms.symbol):
            return market
    raise MarketNotFound(f"{protocol.name} has no market {name[:100]}.")


def _amounts(protocol: PerpsProtocol, order: Order) -> Mapping[str, Any]:
    decimals = protocol.section.decimals
    amounts = {
        "size": (order.size, decimals.size),
        "collateral": (order.collateral, decimals.quote),
        "price_limit": (order.price_limit, decimals.price),
        "collateral_delta": (order.collateral_delta, decimals.quote),
    }
    units = {name: to_units(name, value, scale) for name, (value, scale) in amounts.items() if value is not None}
    return units if order.side is None else {**units, "is_long": order.side is Side.LONG}


def to_units(name: str, value: Decimal, decimals: int) -> int:
    """The amount as the contract counts it, exactly; raises InvalidInput naming the field when it cannot."""
    scaled = value.scaleb(decimals, EXACT)
    whole = int(scaled)
    if whole != scaled:
        raise InvalidInput(errors=[{"pointer": f"/{name}", "detail": f"More than {decimals} decimals."}])
    if abs(whole) > LARGEST:
        raise InvalidInput(errors=[{"pointer": f"/{name}", "detail": "More than the contract can hold."}])
    return whole
