"""Which waiting orders a price triggers. The hot statement of orders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.perps.queries.orders import as_order
from app.perps.types.orders import Order, OrderKind, Waits, buys, waits
from app.perps.types.positions import Side


class Reach(NamedTuple):
    """Orders of a market, kind and side that a price has reached: `end_wad` is the end of its interval that counts for
    them, `price_wad` what they would be executed at.
    """

    market_id: str
    kind: OrderKind
    side: Side
    end_wad: int
    price_wad: int


# One ordered, limited index range a (market, kind, side): O(ranges · log open + found), whatever the number of orders.
# The ORDER BY ... LIMIT must stay inside LATERAL: joined in one go, the planner reads the whole table. What may not be
# executed now is passed over before the limit counts; those furthest past their trigger come first.
_REACHED = """
    SELECT o.*
    FROM unnest(CAST(:{name}_market_ids AS text[]), CAST(:{name}_kinds AS text[]), CAST(:{name}_sides AS text[]),
                CAST(:{name}_ends AS numeric[]), CAST(:{name}_prices AS numeric[]), CAST(:{name}_buys AS boolean[]))
         AS b (market_id, kind, side, "end", price, buys)
    CROSS JOIN LATERAL (
        SELECT c.*
        FROM perps_orders c
        WHERE c.protocol = :protocol AND c.market_id = b.market_id AND c.kind = b.kind AND c.side = b.side
          AND c.status = 'open' AND c.trigger_price_wad {reached}
          AND (c.expires_at IS NULL OR c.expires_at >= :now)
          AND (c.acceptable_price_wad IS NULL
               OR CASE WHEN b.buys THEN c.acceptable_price_wad >= b.price ELSE c.acceptable_price_wad <= b.price END)
          AND c.key <> ALL (CAST(:busy AS text[]))
          AND (c.position_key IS NULL OR EXISTS (
              SELECT FROM perps_positions p
              WHERE p.protocol = c.protocol AND p.key = c.position_key AND p.status = 'open'
          ))
          AND NOT EXISTS (
              SELECT FROM perps_keeper_backoffs k
              WHERE k.protocol = c.protocol AND k.action = 'execute_order' AND k.key = c.key AND k.until > :now
          )
        ORDER BY c.trigger_price_wad {order}
        LIMIT :limit
    ) o
"""

REACHED = text(
    _REACHED.format(name="below", reached='>= b."end"', order="DESC")
    + "UNION ALL"
    + _REACHED.format(name="above", reached='<= b."end"', order="ASC")
)


def find_reached(
    session: Session, protocol: str, ranges: Sequence[Reach], *, limit: int, busy: Collection[str], now: datetime
) -> list[Order]:
    """At most `limit` orders a range, whose price has come and is acceptable; `busy` are keys to pass over."""
    values = {"protocol": protocol, "limit": limit, "busy": list(busy), "now": now}
    for way in Waits:
        chosen = [one for one in ranges if waits(one.kind, one.side) is way]
        values |= {
            f"{way}_market_ids": [one.market_id for one in chosen],
            f"{way}_kinds": [str(one.kind) for one in chosen],
            f"{way}_sides": [str(one.side) for one in chosen],
            f"{way}_ends": [one.end_wad for one in chosen],
            f"{way}_prices": [one.price_wad for one in chosen],
            f"{way}_buys": [buys(one.kind, one.side) for one in chosen],
        }
    return [as_order(row) for row in session.execute(REACHED, values)]
