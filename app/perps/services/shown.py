"""How the perps are shown, in job results and over HTTP alike: plain JSON, every amount a decimal in a string."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.core.clock import rfc3339
from app.perps.maths.margin import leverage_wad
from app.perps.maths.units import wad_text
from app.perps.queries.funding import FundingRow
from app.perps.queries.pnl import EntryRow
from app.perps.types.health import Health, Judged, MarketView, Views
from app.perps.types.keeper import KeeperAction
from app.perps.types.markets import Market
from app.perps.types.orders import Order
from app.perps.types.positions import Liquidation, Place, Position

SECONDS_AN_HOUR = 3600
Shown = dict[str, Any]


def show_market(market: Market, views: Views) -> Shown:
    """A market; `funding.next` is what it would be, settled now, and `price` is null when it is unusable, with why."""
    key = (market.protocol, market.market_id)
    view = views.priced.get(key)
    return {
        **show_recorded_market(market),
        "provisional_funding": None if view is None else _provisional(market, view),
        "price": None if view is None else wad_text(view.price_wad),
        "price_published_at": None if view is None else rfc3339(view.published_at),
        "price_reason": views.unpriced.get(key),
    }


def show_recorded_market(market: Market) -> Shown:
    """A market as the chain last told of it."""
    terms, state = market.terms, market.funding
    return {
        "protocol": market.protocol,
        "market_id": market.market_id,
        "symbol": terms.symbol,
        "base_token": terms.base_token,
        "quote_token": terms.quote_token,
        "pyth_price_id": None if terms.price_feed is None else _hex(terms.price_feed),
        "max_leverage": wad_text(terms.max_leverage_wad),
        "maintenance_margin_rate": wad_text(terms.maintenance_margin_rate_wad),
        "liquidation_fee_rate": wad_text(terms.liquidation_fee_rate_wad),
        "open_fee_rate": wad_text(terms.open_fee_rate_wad),
        "close_fee_rate": wad_text(terms.close_fee_rate_wad),
        "total_long": wad_text(state.long_open_interest_wad),
        "total_short": wad_text(state.short_open_interest_wad),
        "current_funding_rate": wad_text(market.current_rate_wad),
        "current_funding_rate_hourly": wad_text(market.current_rate_wad * SECONDS_AN_HOUR),
        "last_funding_update": rfc3339(state.settled_at),
        "long_funding_index": wad_text(state.long_index_wad),
        "short_funding_index": wad_text(state.short_index_wad),
        "listed_at": rfc3339(market.listed_at),
    }


def _provisional(market: Market, view: MarketView) -> Shown:
    state = view.provisional
    return {
        "funding_rate": wad_text(market.current_rate_wad),
        "long_funding_index": wad_text(state.long_index_wad),
        "short_funding_index": wad_text(state.short_index_wad),
        "as_of": rfc3339(view.as_of),
        "settles_at": None if view.settles_at is None else rfc3339(view.settles_at),
    }


def show_position(one: Judged) -> Shown:
    """A position with its live health; null, with the reason, when there is none to show."""
    return {
        **show_recorded_position(one.position),
        "health": None if one.health is None else show_health(one.health),
        "health_reason": one.reason,
    }


def show_recorded_position(position: Position) -> Shown:
    """A position as the chain last told of it."""
    collateral = position.collateral_wad
    leverage = None if collateral is None else leverage_wad(position.size_wad, position.entry_price_wad, collateral)
    return {
        "protocol": position.protocol,
        "key": position.key,
        "market_id": position.market_id,
        "user_address": _hex(position.owner),
        "side": str(position.side),
        "status": str(position.status),
        "size": wad_text(position.size_wad),
        "collateral": shown_wad(collateral),
        "leverage": shown_wad(leverage),
        "entry_price": wad_text(position.entry_price_wad),
        "exit_price": shown_wad(position.exit_price_wad),
        "realized_pnl": wad_text(position.realized_pnl_wad),
        "accumulated_funding": wad_text(position.accumulated_funding_wad),
        "fees": wad_text(position.fees_wad),
        "net_transfers": wad_text(position.net_transfers_wad),
        "opened": show_place(position.opened),
        "changed": show_place(position.last),
    }


def show_health(health: Health) -> Shown:
    """A position's health as of a price: `health_factor` null is infinite, `liquidation_price` null is none."""
    worth = health.prospects
    return {
        "verdict": str(health.verdict),
        "health_factor": None if health.health_factor is None else format(health.health_factor, "f"),
        "equity": wad_text(worth.equity_wad),
        "maintenance_margin": wad_text(worth.maintenance_wad),
        "unrealized_pnl": wad_text(worth.price_pnl_wad),
        "unsettled_funding": wad_text(worth.funding_wad),
        "liquidation_price": shown_wad(health.liquidation_price_wad),
        "bankruptcy_price": shown_wad(health.bankruptcy_price_wad),
        "price": wad_text(health.price_wad),
        "price_published_at": rfc3339(health.published_at),
        "as_of": rfc3339(health.as_of),
    }


def show_funding(row: FundingRow) -> Shown:
    """A settlement; the rate is a second's, positive when longs pay."""
    entry = row.entry
    return {
        "protocol": row.protocol,
        "market_id": entry.market_id,
        "funding_rate": wad_text(entry.rate_wad),
        "funding_rate_hourly": wad_text(entry.rate_wad * SECONDS_AN_HOUR),
        "long_funding_index": wad_text(entry.long_index_wad),
        "short_funding_index": wad_text(entry.short_index_wad),
        "long_oi": shown_wad(entry.long_open_interest_wad),
        "short_oi": shown_wad(entry.short_open_interest_wad),
        "price": wad_text(entry.price_wad),
        "elapsed_seconds": entry.elapsed_seconds,
        "settled_at": rfc3339(entry.settled_at),
        "place": show_place(entry.place),
    }


def show_liquidation(one: Liquidation) -> Shown:
    """A liquidation, as the chain's event has it."""
    return {
        "protocol": one.protocol,
        "position": one.key,
        "market_id": one.market_id,
        "user_address": _hex(one.owner),
        "side": str(one.side),
        "size": wad_text(one.size_wad),
        "liquidator": _hex(one.liquidator),
        "price": wad_text(one.price_wad),
        "fee": wad_text(one.fee_wad),
        "realized_pnl": wad_text(one.realized_pnl_wad),
        "funding_paid": wad_text(one.funding_paid_wad),
        "bad_debt": wad_text(one.bad_debt_wad),
        "insurance_paid": wad_text(one.insurance_paid_wad),
        "place": show_place(one.place),
    }


def show_entry(row: EntryRow) -> Shown:
    """What one event did to a position's money, and what position and account have come to with it."""
    one = row.entry
    return {
        "protocol": row.protocol,
        "position": one.key,
        "market_id": one.market_id,
        "user_address": _hex(one.owner),
        "realized_pnl": wad_text(one.realized_pnl_wad),
        "funding_paid": wad_text(one.funding_paid_wad),
        "fee": wad_text(one.fee_wad),
        "transfer": wad_text(one.transfer_wad),
        "covered": wad_text(one.covered_wad),
        "position_pnl": wad_text(one.position_pnl_wad),
        "position_transfers": wad_text(one.position_transfers_wad),
        "account_pnl": wad_text(row.account_pnl_wad),
        "account_transfers": wad_text(row.account_transfers_wad),
        "place": show_place(one.place),
    }


def show_order(one: Order) -> Shown:
    """A conditional order, as the chain's events have left it."""
    return {
        "protocol": one.protocol,
        "key": one.key,
        "market_id": one.market_id,
        "user_address": _hex(one.owner),
        "kind": str(one.kind),
        "side": str(one.side),
        "waits": str(one.waits),
        "status": str(one.status),
        "position": one.position_key,
        "size": wad_text(one.size_wad),
        "collateral": wad_text(one.collateral_wad),
        "trigger_price": wad_text(one.trigger_price_wad),
        "acceptable_price": shown_wad(one.acceptable_price_wad),
        "execution_fee": wad_text(one.execution_fee_wad),
        "expires_at": rfc3339_or_none(one.expires_at),
        "executed_price": shown_wad(one.executed_price_wad),
        "executed_size": shown_wad(one.executed_size_wad),
        "keeper": None if one.keeper is None else _hex(one.keeper),
        "created": show_place(one.created),
        "changed": show_place(one.last),
    }


def show_action(one: KeeperAction) -> Shown:
    """A transaction that the keeper planned; a span is null until both its ends are known."""
    return {
        "intent_id": str(one.intent_id),
        "protocol": one.protocol,
        "action": one.action,
        "key": one.key,
        "market_id": one.market_id,
        "outcome": one.outcome,
        "block_number": one.block_number,
        "price_published_at": rfc3339(one.price_published_at),
        "detected_at": rfc3339(one.detected_at),
        "planned_at": rfc3339(one.planned_at),
        "broadcast_at": rfc3339_or_none(one.broadcast_at),
        "included_at": rfc3339_or_none(one.included_at),
        "detection_seconds": _span(one.price_published_at, one.detected_at),
        "broadcast_seconds": _span(one.detected_at, one.broadcast_at),
        "inclusion_seconds": _span(one.broadcast_at, one.included_at),
    }


def _span(start: datetime | None, end: datetime | None) -> str | None:
    """In seconds, to the millisecond."""
    if start is None or end is None:
        return None
    milliseconds = (end - start) // timedelta(milliseconds=1)
    sign = "-" if milliseconds < 0 else ""
    return f"{sign}{abs(milliseconds) // 1000}.{abs(milliseconds) % 1000:03d}"


def show_place(place: Place) -> Shown:
    """Where in the chain something was said; a settlement of our own has the block it precedes, and no event."""
    said = place.log_index >= 0
    return {
        "block_number": place.block_number,
        "block_hash": _hex(place.block_hash),
        "transaction_hash": _hex(place.transaction_hash) if said else None,
        "log_index": place.log_index if said else None,
        "at": rfc3339(place.mined_at),
    }


def shown_wad(value: int | None) -> str | None:
    """An amount as a decimal in a string; null where there is none."""
    return None if value is None else wad_text(value)


def rfc3339_or_none(value: datetime | None) -> str | None:
    """A time; null where there is none."""
    return None if value is None else rfc3339(value)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
