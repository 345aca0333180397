"""Statements on markets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.perps.models import PerpsMarket
from app.perps.types.markets import FundingState, FundingTerms, Market, MarketTerms

TABLE = PerpsMarket.__table__
COLUMNS = [column.name for column in TABLE.columns]
KEY = ("protocol", "market_id")


def list_markets(session: Session, protocol: str | None = None) -> list[Market]:
    """All markets, or one protocol's, by key. O(markets)."""
    statement = select(TABLE).order_by(TABLE.c.protocol, TABLE.c.market_id)
    if protocol is not None:
        statement = statement.where(TABLE.c.protocol == protocol)
    return [as_market(row) for row in session.execute(statement)]


def markets_by_id(session: Session, protocol: str, market_ids: Collection[str]) -> dict[str, Market]:
    """Those of the markets that are listed."""
    rows = session.execute(select(TABLE).where(TABLE.c.protocol == protocol, TABLE.c.market_id.in_(market_ids)))
    return {row.market_id: as_market(row) for row in rows}


def page_markets(
    session: Session, *, after: tuple[str, str] | None, protocol: str | None, symbol: str | None, limit: int
) -> list[Market]:
    """Markets by key, from `after` on."""
    statement = select(TABLE).order_by(TABLE.c.protocol, TABLE.c.market_id).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(TABLE.c.protocol, TABLE.c.market_id) > after)
    if protocol is not None:
        statement = statement.where(TABLE.c.protocol == protocol)
    if symbol is not None:
        statement = statement.where(TABLE.c.symbol == symbol)
    return [as_market(row) for row in session.execute(statement)]


def write(session: Session, markets: Sequence[Market]) -> None:
    """Insert or replace whole rows."""
    if not markets:
        return
    statement = insert(PerpsMarket)
    replaced = {name: statement.excluded[name] for name in COLUMNS if name not in KEY}
    session.execute(
        statement.on_conflict_do_update(index_elements=KEY, set_=replaced), [_values(one) for one in markets]
    )


def remove(session: Session, protocol: str, market_ids: Collection[str]) -> None:
    """Delete markets that were never listed after all."""
    if market_ids:
        session.execute(
            delete(PerpsMarket).where(PerpsMarket.protocol == protocol, PerpsMarket.market_id.in_(market_ids))
        )


def as_market(row: Row[Any]) -> Market:
    """A row as a value."""
    return Market(
        protocol=row.protocol,
        market_id=row.market_id,
        terms=MarketTerms(
            symbol=row.symbol,
            base_token=row.base_token,
            quote_token=row.quote_token,
            price_feed=None if row.pyth_price_id is None else bytes(row.pyth_price_id),
            max_leverage_wad=int(row.max_leverage_wad),
            maintenance_margin_rate_wad=int(row.maintenance_margin_rate_wad),
            liquidation_fee_rate_wad=int(row.liquidation_fee_rate_wad),
            open_fee_rate_wad=int(row.open_fee_rate_wad),
            close_fee_rate_wad=int(row.close_fee_rate_wad),
            funding=FundingTerms(
                factor_per_second_wad=int(row.funding_factor_per_second_wad),
                max_rate_per_second_wad=int(row.max_funding_rate_per_second_wad),
            ),
            max_price_age_seconds=row.max_price_age_seconds,
            max_confidence_bps=row.max_confidence_bps,
        ),
        funding=FundingState(
            long_open_interest_wad=int(row.total_long_wad),
            short_open_interest_wad=int(row.total_short_wad),
            long_index_wad=int(row.long_funding_index_wad),
            short_index_wad=int(row.short_funding_index_wad),
            settled_at=row.last_funding_update,
        ),
        current_rate_wad=int(row.current_funding_rate_wad),
        terms_changed_at=row.terms_changed_at,
        listed_at=row.listed_at,
        listed_block_number=row.listed_block_number,
    )


def _values(market: Market) -> dict[str, Any]:
    terms, funding = market.terms, market.funding
    return {
        "protocol": market.protocol,
        "market_id": market.market_id,
        "symbol": terms.symbol,
        "base_token": terms.base_token,
        "quote_token": terms.quote_token,
        "pyth_price_id": terms.price_feed,
        "max_leverage_wad": terms.max_leverage_wad,
        "maintenance_margin_rate_wad": terms.maintenance_margin_rate_wad,
        "liquidation_fee_rate_wad": terms.liquidation_fee_rate_wad,
        "open_fee_rate_wad": terms.open_fee_rate_wad,
        "close_fee_rate_wad": terms.close_fee_rate_wad,
        "funding_factor_per_second_wad": terms.funding.factor_per_second_wad,
        "max_funding_rate_per_second_wad": terms.funding.max_rate_per_second_wad,
        "max_price_age_seconds": terms.max_price_age_seconds,
        "max_confidence_bps": terms.max_confidence_bps,
        "total_long_wad": funding.long_open_interest_wad,
        "total_short_wad": funding.short_open_interest_wad,
        "current_funding_rate_wad": market.current_rate_wad,
        "long_funding_index_wad": funding.long_index_wad,
        "short_funding_index_wad": funding.short_index_wad,
        "last_funding_update": funding.settled_at,
        "terms_changed_at": market.terms_changed_at,
        "listed_at": market.listed_at,
        "listed_block_number": market.listed_block_number,
    }
