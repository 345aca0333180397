"""Fresh update data for a transaction: fetched, verified, priced and judged before any gas is paid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from app.chain.types.calls import ContractCall
from app.core.errors import AppError
from app.oracle.services.read import usable_price
from app.oracle.types.prices import Action, Around
from app.oracle.types.updates import TransactionUpdate
from app.perps.maths.calls import encode_update_fee
from app.perps.maths.units import WORD
from app.perps.maths.views import market_view
from app.perps.services.parts import PerpsParts, Sending, quote_of
from app.perps.types.health import MarketView
from app.perps.types.markets import Market
from app.perps.types.protocol import PerpsProtocol


@dataclass(frozen=True, slots=True)
class MarketUpdate:
    """A market with update data of its own feed, what the data costs, and the market as seen at the data's price."""

    market: Market
    update: TransactionUpdate
    fee_wei: int
    view: MarketView


def fetch_updates(
    protocol: PerpsProtocol,
    markets: Iterable[Market],
    *,
    action: Action,
    around: Around,
    parts: PerpsParts,
    sending: Sending,
    clock: Callable[[], datetime],
) -> dict[str, MarketUpdate | AppError]:
    """By market, its update, or why there is none: one feed that fails takes no other market down. Each market's data
    is its own, so that a transaction carries and pays for no other's. `around`: what the caller read of the sequencer
    and the other sources. O(markets) requests, with no transaction open.
    """
    found: dict[str, MarketUpdate | AppError] = {}
    for market in markets:
        try:
            found[market.market_id] = _fetch(protocol, market, action, around, parts, sending, clock)
        except AppError as error:
            found[market.market_id] = error
    return found


def _fetch(
    protocol: PerpsProtocol,
    market: Market,
    action: Action,
    around: Around,
    parts: PerpsParts,
    sending: Sending,
    clock: Callable[[], datetime],
) -> MarketUpdate:
    update = parts.update([market.terms.get_feed()])
    now = clock()
    price = usable_price(quote_of(market, update, parts.rules, now, around), action)
    source = bytes.fromhex(protocol.section.get_price().contract[2:])
    answer = sending.read(ContractCall(source, encode_update_fee(update.data)))
    view = market_view(market, protocol.section, price, now)
    return MarketUpdate(market, update, int.from_bytes(answer[:WORD], "big"), view)
