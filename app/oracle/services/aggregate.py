"""Asks the sources beside Pyth and makes one price a symbol of all: gather → decide → record, with every input kept.

O(symbols · sources). A supplier that fails has its flaw recorded and takes nothing else down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.core.db import release
from app.core.logging import get_logger
from app.oracle.adapters import Sources
from app.oracle.adapters.chainlink import ReadAll
from app.oracle.adapters.exchanges import ask
from app.oracle.maths.aggregation import aggregate
from app.oracle.maths.readings import PYTH, candidate, merged, pyth_candidate
from app.oracle.queries import aggregates as aggregate_queries
from app.oracle.queries import feeds as feed_queries
from app.oracle.queries import quotes as quote_queries
from app.oracle.types.prices import FeedPrice
from app.oracle.types.sources import Aggregate, AggregateState, Candidate, Reading, Uptime

log = get_logger(__name__)

# What is older than this is not what a new price is held against.
REMEMBERED = timedelta(days=1)


def aggregate_prices(
    session: Session, *, sources: Sources, read_all: ReadAll, chain_id: int, clock: Callable[[], datetime]
) -> Sequence[Aggregate]:
    """Ask every configured source once, record what it said, and what all of a symbol's come to; commits with the
    caller. The network is waited on with no transaction open, on as many suppliers at once as there are.
    """
    release(session)
    readings, uptime = gather(sources, read_all, clock)
    now = clock()
    quote_queries.lock_quotes(session)
    known = quote_queries.quotes_by_source(session)
    standing = [
        merged(known.get((one.symbol, one.source)), one, now, sources.rules.max_future_seconds) for one in readings
    ]
    quote_queries.put_quotes(session, standing, now)
    quote_queries.forget_quotes_but(session, [(one.symbol, one.source) for one in standing])
    if uptime is not None:
        quote_queries.put_uptime(session, chain_id, uptime)
    by_source = {(one.symbol, one.source): one for one in standing}
    feeds = {known.feed.symbol: known for known in feed_queries.find_feeds(session, (), sources.by_symbol.keys())}
    before = aggregate_queries.latest_aggregates(session, sources.by_symbol.keys(), now - REMEMBERED)
    outcomes = [
        aggregate(
            symbol,
            candidates(symbol, sources, by_source, feeds.get(symbol)),
            before[symbol].state if symbol in before else AggregateState(),
            sources.rules,
            now,
        )
        for symbol in sources.by_symbol
    ]
    for outcome in outcomes:
        aggregate_queries.add_aggregate(session, outcome)
    if priceless := {one.symbol: str(one.reason) for one in outcomes if one.reason is not None}:
        log.warning("aggregates_without_price", symbols=priceless)
    return outcomes


def gather(
    sources: Sources, read_all: ReadAll, clock: Callable[[], datetime]
) -> tuple[Sequence[Reading], Uptime | None]:
    """What Chainlink and every exchange say now, asked side by side: a slow one delays nobody's answer."""
    with ThreadPoolExecutor(max_workers=len(sources.exchanges) + 1, thread_name_prefix="sources") as pool:
        chain = pool.submit(sources.chainlink.ask, read_all, clock())
        tickers = [pool.submit(ask, exchange, markets, clock) for exchange, markets in sources.exchanges]
        readings = [reading for ticker in tickers for reading in ticker.result()]
    return [*chain.result().readings, *readings], chain.result().uptime


def candidates(
    symbol: str, sources: Sources, by_source: Mapping[tuple[str, str], Reading], feed: FeedPrice | None
) -> list[Candidate]:
    """The inputs of a symbol: its configured sources, and Pyth where its feed is followed."""
    found = [
        candidate(source, by_source.get((symbol, source)), rule)
        for source, rule in sources.by_symbol[symbol].items()
        if source != PYTH
    ]
    return found if feed is None else [pyth_candidate(feed, sources.by_symbol[symbol][PYTH]), *found]


def find_aggregate(session: Session, symbol: str, now: datetime) -> Aggregate | None:
    """A symbol's newest aggregate of the last day; None when there is none."""
    return aggregate_queries.latest_aggregates(session, [symbol], now - REMEMBERED).get(symbol)
