"""A Hermes under the test's hand, the oracle's parts on it, and three feeds followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.core.redis import make_redis
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.oracle.adapters import OracleParts, from_settings
from app.oracle.adapters.price_cache import KEY
from app.oracle.services.feeds import register_feeds
from app.oracle.services.refresh import refresh_prices
from app.oracle.types.prices import Feed
from app.oracle.types.updates import RefreshSummary
from config.groups import OracleSettings
from tests.fakes.hermes import FakeHermes, SignedPrices, serving
from tests.oracle.updates import BTC, ETH, NOW, SEVEN, SOL, message

FEEDS = [Feed(BTC, "BTC/USD"), Feed(ETH, "ETH/USD"), Feed(SOL, "SOL/USD")]
Refresh = Callable[..., RefreshSummary]


@pytest.fixture
def prices() -> SignedPrices:
    """What the fake Hermes publishes."""
    return SignedPrices(SEVEN, [message(BTC), message(ETH, price=301_244_000_000), message(SOL, price=14_287_000_000)])


@pytest.fixture
def hermes(prices: SignedPrices) -> Iterator[FakeHermes]:
    """The fake Hermes, serving."""
    server = FakeHermes(prices)
    with serving(server):
        yield server


@pytest.fixture
def redis(cache: EmbeddedValkey) -> Iterator[Redis]:
    """A client of the cache, without what an earlier test left there."""
    client = make_redis(cache.url)
    client.delete(KEY)
    yield client
    client.close()


@pytest.fixture
def parts(hermes: FakeHermes, redis: Redis) -> OracleParts:
    """The oracle's parts as a process has them."""
    settings = OracleSettings(
        hermes_url=hermes.url,
        hermes_timeout_seconds=2.0,
        signers=tuple("0x" + address.hex() for address in SEVEN.addresses),
        signer_set_index=SEVEN.index,
    )
    return from_settings(settings, redis, chain_id=31339)


@pytest.fixture
def followed(session: Session) -> None:
    """The three feeds, registered and committed."""
    register_feeds(session, FEEDS)
    session.commit()


@pytest.fixture
def refresh(session: Session, parts: OracleParts, followed: None) -> Refresh:
    """Refresh with the test's parts at `NOW`; the caller commits."""

    def run(names: list[str] | None = None, *, on: Session = session, now: datetime = NOW) -> RefreshSummary:
        return refresh_prices(
            on, source=parts.source, trust=parts.trust, window=parts.window, clock=lambda: now, names=names
        )

    return run


def rows(session: Session, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement, as plain tuples."""
    return [tuple(row) for row in session.execute(text(statement), values)]


def wait_until_blocked(engine: Engine, seconds: float = 10.0) -> None:
    """Return once some session of this database waits for a lock."""
    deadline = time.monotonic() + seconds
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.scalar(waiting):
            assert time.monotonic() < deadline, "nobody waits for a lock"
