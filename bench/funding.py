"""`manage.py bench funding`: an hour of 50 markets settled by cumulative index, beside a loop over the positions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from app.chain.types.blocks import ContractSet
from app.oracle.types.prices import Action, ActionRule, Rules
from app.perps.services.slots import Settled, settle_next
from app.perps.types.protocol import PerpsProtocol, PerpsSection
from app.perps.types.vocabulary import KINDS, NUMBERS, TERMS, Kind
from bench.baselines.funding_loop import charge
from bench.machine import describe
from bench.report import Report, Row
from bench.stand import OURS, Stand, standing

PARTS = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000}
MARKETS, CHAIN_ID, NAME, BAR_MS = 50, 1, "bench", 5.0
GENESIS = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = Rules({action: ActionRule(60, 100) for action in Action}, 5)

FILL = (
    """
    INSERT INTO perps_markets
    SELECT :name, m::text, 'M' || m, 'M', 'USD', decode(lpad(to_hex(m), 64, '0'), 'hex'),
           50e18, 1e16, 5e15, 5e14, 5e14, 2e10, 1e11, 60, 100,
           2 * :each * 1e18, :each * 1e18, 6666666666, 0, 0, :genesis, :genesis, 0, :genesis
    FROM generate_series(1, :markets) m
    """,
    """
    INSERT INTO perps_positions
    SELECT :name, p::text, (1 + p % :markets)::text, decode(lpad(to_hex(p), 40, '0'), 'hex'),
           CASE WHEN p % 3 > 0 THEN 'long' ELSE 'short' END, 'open', 1e18, 1e20, 1e19, 1e21, NULL, 0, 0, 0, 0, 0,
           (p % 1000)::double precision, :genesis, 1, p, '\\x01', '\\x02', :genesis, 1, p, '\\x01', '\\x02', 1e20
    FROM generate_series(1, :positions) p
    """,
    """
    INSERT INTO oracle_feeds (id, symbol, source)
    SELECT decode(lpad(to_hex(m), 64, '0'), 'hex'), 'M' || m, 'pyth' FROM generate_series(1, :markets) m
    """,
    """
    INSERT INTO oracle_prices (feed, publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence)
    SELECT f.id, :genesis + n * interval '30 seconds', 100000 + n, 1, -2, 100000, 1, 1, 1
    FROM oracle_feeds f, generate_series(1, :prices) n
    """,
    """
    INSERT INTO chain_headers
    SELECT :chain, n, decode(lpad(to_hex(n), 64, '0'), 'hex'), '\\x00', :genesis + n * interval '120 seconds'
    FROM generate_series(1, 1024) n
    """,
    """
    INSERT INTO chain_cursors (chain_id, name, start_block, next_block, final_block)
    VALUES (:chain, :name, 0, 1025, 1024)
    """,
)
TABLES = "perps_markets, perps_positions, perps_funding_rates, oracle_feeds, chain_headers, chain_cursors"


def measure(run_folder: Path, *, only: Sequence[str], runs: int, progress: Callable[[str], None]) -> Report:
    """All sizes, or those named."""
    load_before = os.getloadavg()[0]
    with standing(run_folder) as stand:
        machine = describe(stand, load_before)
        rows = [
            row
            for part, positions in PARTS.items()
            if not only or part in only
            for row in settling(stand, part, positions, runs, progress)
        ]
    return Report(bench="funding", machine=machine, runs=runs, rows=rows)


def settling(stand: Stand, part: str, positions: int, runs: int, progress: Callable[[str], None]) -> list[Row]:
    """Hour after hour at one size; the loop once, as it takes its time."""
    progress(f"funding: {part} positions are made")
    fill(stand, positions, hours=runs + 1)
    engine, protocol = stand.engine(OURS), a_protocol()
    ours, sql = [], []
    for run in range(runs + 1):
        progress(f"funding: {part}, hour {run + 1} of {runs + 1}")
        with Session(engine) as session, counting(engine) as spent:
            done = Settled()
            began = time.perf_counter()
            settle_next(session, protocol, None, rules=RULES, until=GENESIS + HOUR * (run + 1), done=done)
            ours.append(1000 * (time.perf_counter() - began))
            sql.append(1000 * sum(spent))
            assert done.count == MARKETS, "an hour was not settled"
            session.commit()
    progress(f"funding: {part}, the loop")
    with Session(engine) as session:
        began = time.perf_counter()
        charge(session, 1000)
        loop = 1000 * (time.perf_counter() - began)
        session.rollback()
    engine.dispose()
    # The first hour opens the connection and fills the caches.
    warm_sql, warm = median(sql[1:]), median(ours[1:])
    return [
        Row(metric=f"{part}: {MARKETS} markets' hour, SQL, ms", ours=warm_sql, bar=BAR_MS, ceiling=True),
        Row(
            metric=f"{part}: all of it but the commit, ms, baseline: a loop",
            ours=warm,
            baseline=loop,
            ratio=loop / warm,
        ),
    ]


def fill(stand: Stand, positions: int, *, hours: int) -> None:
    """Markets, positions, prices each half minute, and headers that reach past the last hour."""
    values = {
        "name": NAME,
        "chain": CHAIN_ID,
        "markets": MARKETS,
        "positions": positions,
        "each": positions // MARKETS // 3,
        "prices": 120 * (hours + 1),
        "genesis": GENESIS,
    }
    engine = stand.engine(OURS)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {TABLES} CASCADE"))
        for statement in FILL:
            connection.execute(text(statement), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


@contextmanager
def counting(engine: Engine) -> Iterator[list[float]]:
    """The seconds that each statement took."""
    spent: list[float] = []
    began = [0.0]

    def before(*_: object) -> None:
        began[0] = time.perf_counter()

    def after(*_: object) -> None:
        spent.append(time.perf_counter() - began[0])

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    yield spent
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)


def a_protocol() -> PerpsProtocol:
    """One whose funding we settle; nothing of it is read from a chain."""
    terms = {name: {"value": "0" if KINDS[name] in (*NUMBERS, Kind.COUNT) else "M"} for name in TERMS}
    section = PerpsSection.model_validate(
        {
            "identity": {"position": ["key"], "market": ["market"]},
            "margin": {"kind": "isolated", "boundary": "<"},
            "price": {"contract": "0x" + "00" * 20, "feed": "feed"},
            "funding": {"model": "open_interest_skew", "authority": "computed"},
            "events": [{"event": "perp.Listed", "effect": "market", "fields": terms}],
        }
    )
    return PerpsProtocol(NAME, section, ContractSet(NAME, CHAIN_ID, 0, {}), {})
