"""What was revoked stops everywhere: at once with the cache, within the trusted seconds without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.accounts.adapters.standing_cache import LOOK_SECONDS, StandingCache
from app.accounts.types import SessionStanding
from app.core.clock import utc_now
from app.core.db import new_id
from app.core.redis import make_redis
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import free_port
from config.settings import Settings
from tests.accounts.conftest import MakeUser, SignIn
from tests.core.test_problems import problem

TRUST_SECONDS = 30.0


class Clock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds + 0.001


@pytest.fixture
def own_cache(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A cache that the test may break."""
    server = EmbeddedValkey("cache", tmp_path, free_port(), "secret", tmp_path / "log")
    server.start()
    yield server
    server.stop()


def test_signing_out_is_felt_by_another_process_at_once(
    client: FlaskClient, second_client: FlaskClient, make_user: MakeUser, sign_in: SignIn
) -> None:
    make_user()
    headers = sign_in()["headers"]
    assert second_client.get("/v1/me", headers=headers).status_code == 200
    client.post("/v1/auth/logout", headers=headers)
    problem(second_client.get("/v1/me", headers=headers), 401, "accounts.token_revoked")


def test_a_flushed_cache_is_no_amnesty(
    client: FlaskClient, make_app: Callable[..., Flask], settings: Settings, make_user: MakeUser, sign_in: SignIn
) -> None:
    make_user()
    headers = sign_in()["headers"]
    client.post("/v1/auth/logout", headers=headers)
    with Redis.from_url(settings.cache_url.get_secret_value()) as redis:
        redis.flushall()
    for each in (client, make_app().test_client()):
        problem(each.get("/v1/me", headers=headers), 401, "accounts.token_revoked")


def test_a_flush_right_after_signing_out_is_no_amnesty_elsewhere(
    client: FlaskClient, second_client: FlaskClient, settings: Settings, make_user: MakeUser, sign_in: SignIn
) -> None:
    make_user()
    headers = sign_in()["headers"]
    assert second_client.get("/v1/me", headers=headers).status_code == 200
    client.post("/v1/auth/logout", headers=headers)
    with Redis.from_url(settings.cache_url.get_secret_value()) as redis:
        redis.flushall()
    problem(second_client.get("/v1/me", headers=headers), 401, "accounts.token_revoked")


def test_without_a_cache_postgres_decides(
    make_app: Callable[..., Flask], settings: Settings, make_user: MakeUser, sign_in: SignIn, own_cache: EmbeddedValkey
) -> None:
    make_user()
    client = make_app(settings.model_copy(update={"cache_url": SecretStr(own_cache.url)})).test_client()
    own_cache.stop()
    headers = sign_in(by=client)["headers"]
    assert client.get("/v1/me", headers=headers).status_code == 200
    assert client.post("/v1/auth/logout", headers=headers).status_code == 204
    problem(client.get("/v1/me", headers=headers), 401, "accounts.token_revoked")


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Readings:
    """A session's standing, and how often it was read."""

    def __init__(self) -> None:
        self.count = 0
        self.standing = SessionStanding(new_id(), new_id(), True, ["jobs:read"], None, utc_now())

    def __call__(self) -> SessionStanding:
        self.count += 1
        return self.standing


def cache_on(redis: Redis, clock: Clock, trust_seconds: float = TRUST_SECONDS) -> StandingCache:
    return StandingCache(redis, trust_seconds=trust_seconds, clock=clock, wait=clock.wait)


@pytest.fixture
def redis(cache: EmbeddedValkey) -> Iterator[Redis]:
    with make_redis(cache.url) as client:
        yield client


def test_a_standing_is_read_once_in_its_time(redis: Redis, clock: Clock) -> None:
    known, read = cache_on(redis, clock), Readings()
    known.recall("session:1", read)
    clock.now += TRUST_SECONDS - 0.1
    known.recall("session:1", read)
    assert read.count == 1
    clock.now += 0.1
    known.recall("session:1", read)
    assert read.count == 2


@pytest.mark.parametrize("subject", [0, 1])
def test_a_mark_makes_every_process_read_again(redis: Redis, clock: Clock, subject: int) -> None:
    here, there, read = cache_on(redis, clock), cache_on(redis, clock), Readings()
    there.recall("session:1", read)
    clock.now += LOOK_SECONDS / 2
    there.recall("session:1", read)
    assert read.count == 1
    here.mark_changed(read.standing.subjects[subject])
    there.recall("session:1", read)
    assert read.count == 2
    assert redis.pttl(f"wk:changed:{read.standing.subjects[subject]}") > TRUST_SECONDS * 1000


def test_an_emptied_cache_makes_every_process_read_again(redis: Redis, clock: Clock) -> None:
    here, there, read = cache_on(redis, clock), cache_on(redis, clock), Readings()
    for known in (here, there):
        known.recall("session:1", read)
    here.mark_changed(read.standing.subjects[0])
    redis.flushall()
    for number, known in enumerate((here, there), start=3):
        clock.now += 2 * LOOK_SECONDS
        known.recall("session:1", read)
        assert read.count == number
    clock.now += 2 * LOOK_SECONDS
    there.recall("session:1", read)  # under the new epoch it is trusted again
    assert read.count == 4


def test_without_redis_the_trust_still_ends(clock: Clock, own_cache: EmbeddedValkey) -> None:
    with make_redis(own_cache.url, timeout_seconds=0.1) as redis:
        here, there, read = cache_on(redis, clock), cache_on(redis, clock), Readings()
        there.recall("session:1", read)
        own_cache.stop()
        here.mark_changed(read.standing.subjects[0])
        clock.now += TRUST_SECONDS - 1
        there.recall("session:1", read)
        assert read.count == 1  # the documented bound
        clock.now += 1
        there.recall("session:1", read)
        assert read.count == 2


def test_trusting_for_no_time_asks_every_time(redis: Redis, clock: Clock) -> None:
    known, read = cache_on(redis, clock, trust_seconds=0), Readings()
    for _ in range(3):
        known.recall("session:1", read)
    known.mark_changed("x")
    assert read.count == 3


def test_one_process_forgets_its_own_changes_without_redis(clock: Clock, own_cache: EmbeddedValkey) -> None:
    own_cache.stop()
    with make_redis(own_cache.url, timeout_seconds=0.1) as redis:
        known, read = cache_on(redis, clock), Readings()
        known.recall("session:1", read)
        known.mark_changed(read.standing.subjects[0])
        known.recall("session:1", read)
        assert read.count == 2


def test_scopes_are_the_present_ones(
    client: FlaskClient, second_client: FlaskClient, make_user: MakeUser, sign_in: SignIn, session: Session
) -> None:
    make_user("root", "admin")
    user = make_user("alice", "jobs:read")
    admin, alice = sign_in("root")["headers"], sign_in("alice")["headers"]
    assert second_client.get("/v1/me", headers=alice).get_json()["scopes"] == ["jobs:read"]
    body = {"scopes": ["perps:read", "oracle:read"]}
    assert client.put(f"/v1/users/{user.id}/scopes", json=body, headers=admin).status_code == 200
    assert second_client.get("/v1/me", headers=alice).get_json()["scopes"] == ["oracle:read", "perps:read"]
    logged = session.execute(text("SELECT detail FROM audit_log WHERE action = 'users.scopes'")).scalar_one()
    assert logged == {"before": ["jobs:read"], "after": ["oracle:read", "perps:read"]}
