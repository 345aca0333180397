"""The scan against judging everybody, and the plan that Postgres makes of it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.perps.maths.health import judged
from app.perps.queries.candidates import CANDIDATES
from app.perps.queries.positions import positions_by_key
from app.perps.services.scan import scan, urgency
from app.perps.types.health import End, MarketView, Point, Verdict, Views
from app.perps.types.markets import Boundary, FundingState, Margin
from app.perps.types.positions import Position, Side
from contracts.markets import WAD
from tests.perps.history import History, closed, market_added, opened, our_protocol

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PROTOCOL = "watchkeeper_perps"


def view(
    market: int, price: int, half: int, *, rate: int = WAD * 15 // 1000, long: int = 0, short: int = 0
) -> MarketView:
    """A market at `price` ± `half` in whole units, with funding indexes that are the same at every point."""
    state = FundingState(WAD, WAD, long, short, NOW)
    points = {End.LOW: price - half, End.MIDDLE: price, End.HIGH: price + half}
    return MarketView(
        protocol=PROTOCOL,
        market_id=str(market),
        margin=Margin(rate, Boundary.BELOW),
        points={end: Point(wad * WAD, state) for end, wad in points.items()},
        provisional=state,
        settles_at=None,
        published_at=NOW,
        as_of=NOW,
    )


def everybody(session: Session, views: Sequence[MarketView]) -> list[str]:
    """The keys of the endangered positions, most urgent first, found by judging all of them."""
    seen = Views({(one.protocol, one.market_id): one for one in views}, {})
    keys = session.execute(text("SELECT key FROM perps_positions")).scalars().all()
    found = [judged(position, seen).health for position in positions_by_key(session, PROTOCOL, keys).values()]
    endangered = [health for health in found if health is not None and health.verdict is not Verdict.SAFE]
    return [health.position.key for health in sorted(endangered, key=urgency)]


def populate(history: History, chance: random.Random, count: int) -> None:
    said = [market_added(1), market_added(2)]
    for number in range(1, count + 1):
        entry = chance.randint(900, 1100)
        size = chance.choice([1, 3, WAD // 1000, WAD, 50 * WAD])
        said.append(
            opened(
                number,
                1 + number % 2,
                is_long=chance.random() < 0.5,
                size=size,
                entry_price=entry * WAD,
                collateral=size * entry * chance.randint(1, 30) // 100,
                entry_funding_index=chance.randint(-20, 20) * WAD,
            )
        )
    history.fold(1, *said)
    history.fold(2, *(closed(number, 1 + number % 2) for number in range(5, count, 9)))


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_exactly_the_endangered(session: Session, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses examples
    history = History(session, our_protocol())
    populate(history, chance, 300)
    answers = set()
    for _ in range(12):
        views = [
            view(market, chance.randint(800, 1200), chance.randint(0, 9), long=index * WAD, short=-index * WAD)
            for market in (1, 2)
            for index in [chance.randint(-30, 30)]
        ]
        expected = everybody(session, views)
        found = scan(session, PROTOCOL, views, limit=1000, now=NOW)
        assert ([health.position.key for health in found.found], found.cut) == (expected, False)
        answers.add(len(expected))
    assert len(answers) > 3


def test_other_terms_move_no_key(session: Session) -> None:
    history = History(session, our_protocol())
    populate(history, random.Random(7), 200)  # noqa: S311 - chooses examples
    for rate in (1, WAD // 100, WAD // 5):
        views = [view(1, 950, 2, rate=rate), view(2, 1050, 2, rate=rate)]
        found = scan(session, PROTOCOL, views, limit=1000, now=NOW)
        assert [health.position.key for health in found.found] == everybody(session, views)


def test_the_limit_keeps_the_deepest_and_says_that_there_is_more(session: Session) -> None:
    history = History(session, our_protocol())
    history.fold(1, market_added(1), *(opened(number, collateral=number * WAD) for number in range(1, 8)))
    found = scan(session, PROTOCOL, [view(1, 990, 0)], limit=3, now=NOW)
    assert ([health.position.key for health in found.found], found.cut) == (["1", "2", "3"], True)
    assert not scan(session, PROTOCOL, [view(1, 990, 0)], limit=7, now=NOW).cut


def test_backoff_and_those_in_hand_are_passed_over(session: Session) -> None:
    history = History(session, our_protocol())
    history.fold(1, market_added(1), *(opened(number, collateral=number * WAD) for number in range(1, 5)))
    session.execute(
        text(
            "INSERT INTO perps_keeper_backoffs (protocol, action, key, failures, reason, detail, until, failed_at)"
            " VALUES (:protocol, 'liquidate', '1', 1, 'refused', '', :until, :now)"
        ),
        {"protocol": PROTOCOL, "until": NOW + timedelta(seconds=1), "now": NOW},
    )

    def keys(now: datetime | None) -> list[str]:
        found = scan(session, PROTOCOL, [view(1, 990, 0)], limit=2, now=now, busy=["2"])
        return [health.position.key for health in found.found]

    assert keys(NOW) == ["3", "4"]
    assert keys(NOW + timedelta(seconds=1)) == keys(None) == ["1", "3"]


@pytest.mark.parametrize("rows", [300, 30_000])
def test_a_tick_is_an_index_range_whatever_the_number_of_positions(session: Session, rows: int) -> None:
    """The planner's trap: joined without LATERAL and LIMIT, it reads the whole table at some sizes."""
    columns = "protocol, key, market_id, user_address, side, status, size_wad, entry_price_wad, realized_pnl_wad"
    places = "opened_at, opened_block_number, opened_log_index, opened_block_hash, opened_transaction_hash"
    last = "changed_at, block_number, log_index, block_hash, transaction_hash"
    session.execute(
        text(
            f"""
            INSERT INTO perps_positions ({columns}, accumulated_funding_wad, fees_wad, trigger_key, {places}, {last})
            SELECT 'watchkeeper_perps', i::text, (i % 10)::text, decode(repeat('aa', 20), 'hex'),
                   CASE WHEN i % 2 = 0 THEN 'long' ELSE 'short' END, 'open', 1, 1, 0, 0, 0,
                   (i % 10007) * CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END,
                   now(), 1, i, '', '', now(), 1, i, '', ''
            FROM generate_series(1, :rows) AS i
            """  # noqa: S608 - our own words
        ),
        {"rows": rows},
    )
    session.execute(text("ANALYZE perps_positions"))
    values = {
        "protocol": PROTOCOL,
        "market_ids": [str(market) for market in range(10)] * 2,
        "sides": ["long"] * 10 + ["short"] * 10,
        "tiers": [0] * 20,
        "bounds": [10_000.0] * 10 + [-5.0] * 10,
        "limit": 51,
        "busy": [],
        "now": NOW,
    }
    plan = session.execute(text("EXPLAIN (ANALYZE, FORMAT JSON) " + CANDIDATES.text), values).scalar_one()
    written = json.dumps(plan)
    assert "ix_perps_positions_trigger" in written
    assert "Seq Scan" not in written.replace('"Relation Name": "perps_keeper_backoffs"', "")
    nodes = [node for node in walk(plan[0]["Plan"]) if node.get("Relation Name") == "perps_positions"]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes) < 120


def walk(node: dict[str, object]) -> list[dict[str, object]]:
    """A plan's nodes."""
    inner = node.get("Plans", [])
    assert isinstance(inner, list)
    return [node, *(found for one in inner for found in walk(one))]


def test_positions_keep_their_types(session: Session) -> None:
    history = History(session, our_protocol())
    history.fold(1, market_added(1), opened(1))
    (position,) = positions_by_key(session, PROTOCOL, ["1"]).values()
    assert isinstance(position, Position)
    assert (position.side, type(position.size_wad)) == (Side.LONG, int)
