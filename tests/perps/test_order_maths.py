"""Which way each order waits, by which end of a price, and that the scan finds exactly those that have come."""

from __future__ import annotations

import json
import random

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.perps.maths.orders import is_acceptable, is_tight, is_triggered
from app.perps.queries.order_candidates import REACHED
from app.perps.queries.orders import orders_by_key
from app.perps.services.order_scan import scan_orders, turn_of
from app.perps.types.orders import Order, OrderKind, OrderStatus, Waits, waits
from app.perps.types.positions import Side
from contracts.markets import WAD
from tests.perps.history import History, Said, market_added, opened, order_placed, our_protocol
from tests.perps.test_scan import NOW, PROTOCOL, view

KINDS = {1: OrderKind.LIMIT, 2: OrderKind.STOP_LOSS, 3: OrderKind.TAKE_PROFIT}


def order(history: History, **changes: int) -> Order:
    """An order as it is read from its event."""
    history.fold(1, order_placed(1, **changes))
    return orders_by_key(history.session, PROTOCOL, ["1"])["1"]


# At 1000 ± 10: the table of who waits for what.
@pytest.mark.parametrize(
    ("kind", "is_long", "waits", "last"),
    [
        (1, True, Waits.BELOW, 1010),
        (1, False, Waits.ABOVE, 990),
        (2, True, Waits.BELOW, 990),
        (2, False, Waits.ABOVE, 1010),
        (3, True, Waits.ABOVE, 990),
        (3, False, Waits.BELOW, 1010),
    ],
)
def test_the_table_of_triggers(session: Session, kind: int, is_long: bool, waits: Waits, last: int) -> None:
    beyond = 1 if waits is Waits.ABOVE else -1
    told = History(session, our_protocol())
    for trigger, come in ((last * WAD, True), (last * WAD + beyond, False)):
        one = order(told, kind=kind, is_long=is_long, trigger_price=trigger)
        assert one.waits is waits
        assert is_triggered(one, view(1, 1000, 10)) is come
        told.undo(0)


def test_the_limit_is_met_at_equality(session: Session) -> None:
    buyer = order(History(session, our_protocol()), kind=1, is_long=True, acceptable_price=1000 * WAD)
    assert is_acceptable(buyer, 1000 * WAD)
    assert not is_acceptable(buyer, 1000 * WAD + 1)


def test_tightness_is_met_at_equality() -> None:
    assert is_tight(view(1, 1000, 10), 100)
    assert not is_tight(view(1, 1000, 10), 99)


def populate(told: History, chance: random.Random, count: int) -> None:
    said: list[Said] = [market_added(1), market_added(2), *(opened(number, 1 + number % 2) for number in range(1, 9))]
    for number in range(1, count + 1):
        kind, is_long = chance.randint(1, 3), chance.random() < 0.5
        trigger = chance.randint(900, 1100)
        said.append(
            order_placed(
                number,
                1 + number % 2,
                kind=kind,
                is_long=is_long,
                position_id=chance.randint(1, 9),  # the ninth has never been opened
                trigger_price=trigger * WAD,
                acceptable_price=chance.choice([0, 2**256 - 1, chance.randint(900, 1100) * WAD]),
                expires_at=chance.choice([0, int(NOW.timestamp()), int(NOW.timestamp()) - 1]),
            )
        )
    told.fold(1, *said)


def has_come(one: Order, price: int, half: int) -> bool:
    """Said anew, as a person would."""
    if one.position_key == "9" or (one.expires_at is not None and one.expires_at < NOW):
        return False
    buys = (one.kind is OrderKind.LIMIT) == (one.side is Side.LONG)
    end = (price + half if buys else price - half) * WAD
    come = end <= one.trigger_price_wad if waits(one.kind, one.side) is Waits.BELOW else end >= one.trigger_price_wad
    limit = one.acceptable_price_wad
    return come and (limit is None or (price * WAD <= limit if buys else price * WAD >= limit))


@pytest.mark.parametrize("seed", range(3))
def test_the_scan_finds_exactly_those_that_have_come(session: Session, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses examples
    told = History(session, our_protocol())
    populate(told, chance, 300)
    known = orders_by_key(session, PROTOCOL, [str(number) for number in range(1, 301)]).values()
    assert {one.status for one in known} == {OrderStatus.OPEN}
    for _ in range(10):
        price, half = chance.randint(880, 1120), chance.choice([0, 1, 20])
        views = [view(market, price, half) for market in (1, 2)]
        wanted = [one for one in known if has_come(one, price, half)]
        may_open = chance.choice([(), ("1",), ("1", "2")])
        wanted = [one for one in wanted if one.kind is not OrderKind.LIMIT or one.market_id in may_open]
        wanted.sort(key=turn_of)
        found = scan_orders(session, PROTOCOL, views, opening=may_open, limit=400, now=NOW)
        assert ([one.key for one in found.found], found.cut) == ([one.key for one in wanted], False)
        busy = [one.key for one in wanted[::2]]
        left = scan_orders(session, PROTOCOL, views, opening=may_open, limit=3, now=NOW, busy=busy)
        assert len(left.found) == min(3, len(wanted[1::2]))
        assert {one.key for one in left.found} <= {one.key for one in wanted[1::2]}
        assert left.cut is (len(wanted[1::2]) > 3)


def test_the_plan_is_a_range_of_the_index(session: Session) -> None:
    told = History(session, our_protocol())
    populate(told, random.Random(1), 2000)  # noqa: S311 - chooses examples
    session.execute(text("ANALYZE perps_orders"))
    values = {"protocol": PROTOCOL, "limit": 10, "busy": [], "now": NOW}
    for way in ("below", "above"):
        values |= {
            f"{way}_market_ids": ["1"],
            f"{way}_kinds": ["stop_loss"],
            f"{way}_sides": ["long"],
            f"{way}_ends": [1000 * WAD],
            f"{way}_prices": [1000 * WAD],
            f"{way}_buys": [False],
        }
    plan = json.dumps(session.execute(text(f"EXPLAIN (FORMAT JSON) {REACHED.text}"), values).scalar_one())
    assert "ix_perps_orders_trigger" in plan
    assert "Seq Scan" not in plan.replace("perps_positions", "")
