"""Fresh update data for a transaction: fetched, verified, priced and judged before any gas is paid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from app.chain.types.calls import ContractCall
from app.core.errors import AppError
from app.oracle.errors import PriceMissing
from app.oracle.services.read import aggregate_quote, usable_price
from app.oracle.types.prices import AGGREGATE, Action, Around, Rules
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
    if protocol.section.get_price().source == AGGREGATE:
        return _aggregated(protocol, market, action, around, parts.rules, clock())
    update = parts.update([market.terms.get_feed()])
    now = clock()
    price = usable_price(quote_of(market, update, parts.rules, now, around), action)
    answer = sending.read(ContractCall(protocol.section.get_price().get_contract(), encode_update_fee(update.data)))
    view = market_view(market, protocol.section, price, now)
    return MarketUpdate(market, update, int.from_bytes(answer[:WORD], "big"), view)


def _aggregated(
    protocol: PerpsProtocol, market: Market, action: Action, around: Around, rules: Rules, now: datetime
) -> MarketUpdate:
    """The market at its pair's aggregate, with no data to send along and nothing to pay."""
    aggregate = around.aggregates.get(market.terms.pair)
    if aggregate is None:
        raise PriceMissing(f"There is no recent aggregate of {market.terms.pair}.", feeds=[market.terms.pair])
    price = usable_price(aggregate_quote(aggregate, rules, now, around), action)
    view = market_view(market, protocol.section, price, now)
    return MarketUpdate(market, TransactionUpdate(data=(), message_count=0, prices=(price,)), 0, view)
