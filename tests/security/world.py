"""One app on one database with something in every list, and people to ask it: each with a session and an API key."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.accounts.services.api_keys import create_key
from app.accounts.types import NewKey, Scope, User
from app.chain.queries.alarms import raise_alarm
from app.chain.queries.cursors import OPEN
from app.chain.types.indexing import Alarm
from app.core.clock import utc_now
from app.core.db import make_engine
from app.core.http.principal import Principal
from app.jobs.services.schedules import seed
from app.oracle.queries.prices import record_prices
from app.oracle.types.prices import Price
from config.groups import ChainSettings, HttpSettings, OracleSettings
from config.settings import DEVELOPMENT_GUARDIAN, Settings
from contracts.feeds import FEEDS
from contracts.price_server import PriceServer
from tasks.schedule import schedule
from tests.accounts.conftest import SHELL, bearer, signed_in, user_maker
from tests.conftest import app_maker
from tests.fakes.hermes import serving
from tests.fakes.node_proxy import Answer, Calls, NodeProxy, result, said
from tests.perps.history import (
    CHAIN_ID,
    EXCHANGE,
    GENESIS,
    PROTOCOL_FILE,
    PYTH,
    History,
    funding_settled,
    liquidated,
    market_added,
    opened,
    order_placed,
    our_protocol,
)

METRICS_TOKEN = "the-metrics-token-of-this-world"
PLENTY = "1000000 per minute"

# Whatever changes anywhere, but for the note of when a key was last used: authentication alone writes that.
TABLES = text(
    "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
    " AND relnamespace = 'public'::regnamespace ORDER BY 1"
)
DIGEST = (
    "SELECT md5(coalesce(string_agg(line, ',' ORDER BY line), ''))"
    " FROM (SELECT (to_jsonb(t) - 'last_used_at')::text AS line FROM {0} t) AS lines"
)


@dataclass(frozen=True)
class Person:
    """A user, what they know, and the two credentials they may show; both hold the user's scopes."""

    user: User
    tokens: dict[str, Any]
    key: NewKey

    @property
    def by_token(self) -> dict[str, str]:
        return bearer(self.tokens["access_token"])

    @property
    def by_key(self) -> dict[str, str]:
        return {"X-API-Key": self.key.secret}

    @property
    def principal(self) -> str:
        return f"user:{self.user.id}"


@dataclass
class World:
    """What the tests of a module share."""

    settings: Settings
    app: Flask
    client: FlaskClient
    other_process: FlaskClient
    engine: Engine
    root: Person = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.person(Scope.ADMIN)

    def person(self, *scopes: str) -> Person:
        """Somebody new who holds these scopes and no other."""
        login = f"p{secrets.token_hex(6)}"
        with Session(self.engine) as session:
            user = user_maker(session, self.settings)(login, *scopes)
            key = self.make_key(session, user)
            session.commit()
        return Person(user, signed_in(self.client, login), key)

    def make_key(self, session: Session, user: User, *, ended: bool = False) -> NewKey:
        """Another key of the user; `ended`: it was good for an hour, an hour ago."""
        now = utc_now() - timedelta(hours=2 if ended else 0)
        return create_key(
            session,
            user.id,
            principal=Principal(f"user:{user.id}", frozenset({Scope.ADMIN}), "session"),
            name="a key",
            scopes=user.scopes,
            expires_at=now + timedelta(hours=1) if ended else None,
            origin=SHELL,
            now=now,
        )

    def sql(self, statement: str, **values: Any) -> Any:
        """Run a statement and commit."""
        with self.engine.begin() as connection:
            return connection.execute(text(statement), values)

    def digest(self) -> dict[str, str]:
        """A digest of each table: equal when nothing has changed."""
        with self.engine.connect() as connection:
            names = connection.scalars(TABLES).all()
            every = " UNION ALL ".join(f"SELECT '{name}', ({DIGEST.format(name)})" for name in names)
            return {name: found for name, found in connection.execute(text(every))}


@contextmanager
def make_world(settings: Settings, folder: Path) -> Iterator[World]:
    """A world on the settings' database, which must be fresh."""
    node = NodeProxy()
    node.before = _quiet_node
    prices = PriceServer(0, seed=1)
    settings = _opened(settings, folder, node.url, prices.url)
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=5)
    with Session(engine) as session:
        _fill(session, settings)
        session.commit()
    with app_maker(settings) as make, serving(prices):
        app = make()
        yield World(settings, app, app.test_client(), make().test_client(), engine)
    engine.dispose()
    node.close()


def _quiet_node(calls: Calls) -> Answer:
    """A node at block 1, where nobody has ever sent anything."""
    block = {"number": "0x1", "hash": "0x" + "01" * 32, "baseFeePerGas": "0x1"}
    answers = {
        "eth_call": "0x" + "00" * 31 + "01",
        "eth_chainId": hex(CHAIN_ID),
        "eth_getBlockByNumber": block,
        "eth_feeHistory": {"reward": []},
    }
    said_to = [result(call, answers.get(call["method"], "0x0")) for call in calls]
    return said(said_to if len(calls) > 1 else said_to[0])


def _opened(settings: Settings, folder: Path, node_url: str, prices_url: str) -> Settings:
    """The same with limits that no test meets, the exchange followed, and the metrics open to who knows the token."""
    deployment = {"chain_id": CHAIN_ID, "perp": {"address": EXCHANGE, "block_number": 0}, "pyth": {"address": PYTH}}
    file = folder / "deployment.json"
    file.write_text(json.dumps(deployment))
    return settings.model_copy(
        update={
            "http": HttpSettings(ip_limit=PLENTY, key_limit=PLENTY, login_limit=PLENTY, update_limit=PLENTY),
            "oracle": OracleSettings(hermes_url=prices_url, signers=(DEVELOPMENT_GUARDIAN,)),
            "metrics_token": SecretStr(METRICS_TOKEN),
            "chain": ChainSettings(
                protocol_files=(str(PROTOCOL_FILE),),
                deployment_file=str(file),
                chain_id=CHAIN_ID,
                rpc_urls=(SecretStr(node_url),),
            ),
        }
    )


def _fill(session: Session, settings: Settings) -> None:
    """A market, positions (one liquidated), an order, a settlement, a price, an alarm, a contract set, schedules."""
    seed(session, schedule(settings))
    history = History(session, our_protocol())
    history.fold(3, market_added(1), opened(1), opened(2), order_placed(1))
    history.fold(4, liquidated(2), funding_settled(1, GENESIS + 48))
    record_prices(session, [_price(utc_now())])
    raise_alarm(
        session,
        Alarm(chain_id=CHAIN_ID, contract_set="watchkeeper_perps", kind="node_behind", subject="a node"),
    )
    session.execute(OPEN, {"chain_id": CHAIN_ID, "name": "watchkeeper_perps", "start_block": 0})


def _price(now: datetime) -> Price:
    return Price(
        feed=FEEDS[0].price_id,
        price=6_000_000_000_000,
        conf=3_000_000_000,
        expo=-8,
        publish_time=now.replace(microsecond=0),
        ema_price=6_000_000_000_000,
        ema_conf=3_000_000_000,
        slot=1,
        sequence=1,
    )
