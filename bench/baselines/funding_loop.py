"""Funding settled the plain way: every open position is charged its payment. One statement, the fastest such loop there
is: no row leaves the database, nothing is folded, and no price is looked up.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

CHARGE = text(
    """
    UPDATE perps_positions p
    SET accumulated_funding_wad = p.accumulated_funding_wad
        + ceil(p.size_wad * m.current_funding_rate_wad * 3600 * :price
               * CASE p.side WHEN 'long' THEN 1 ELSE -1 END / 1000000000000000000)
    FROM perps_markets m
    WHERE m.protocol = p.protocol AND m.market_id = p.market_id AND p.status = 'open'
    """
)


def charge(session: Session, price: int) -> None:
    """An hour's funding of every position, at one price for all."""
    session.execute(CHARGE, {"price": price})
