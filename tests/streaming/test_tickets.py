"""The API's side: what a ticket may name, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import msgspec
import pytest
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.http.principal import Credentials, Principal
from app.jobs.jobs import PROBE
from app.jobs.services.enqueue import enqueue
from app.jobs.types import NewJob
from app.oracle.services.feeds import register_feeds
from app.oracle.types import Feed
from app.streaming.adapters.tickets import key_of
from config.settings import Settings
from tests.core.test_problems import problem

ME, OTHER = (f"user:01a00000-0000-7000-8000-00000000000{digit}" for digit in "12")
FEED = bytes.fromhex("ab" * 32)
ADDRESS = "0x" + "Ab" * 20
Ask = Callable[..., Any]


@pytest.fixture
def ask(make_app: Callable[..., Any]) -> Ask:
    """Asks for a ticket as somebody with these scopes."""
    who: dict[str, Principal] = {}

    def authenticate(_credentials: Credentials) -> Principal:
        return who["now"]

    client: FlaskClient = make_app(authenticate=authenticate).test_client()

    def post(topics: Any, scopes: Sequence[str], principal: str = ME) -> Any:
        who["now"] = Principal(principal, frozenset(scopes), "session", "session-1")
        return client.post("/v1/stream-tickets", json={"topics": topics}, headers={"Authorization": "Bearer x"})

    post.client = client  # type: ignore[attr-defined]
    return post


def job(session: Session, principal: str) -> str:
    job_id = enqueue(session, NewJob(kind=PROBE, params={}, principal=principal))
    session.commit()
    return str(job_id)


def told(session: Session) -> list[tuple[str, str, str]]:
    rows = session.execute(text("SELECT topic, payload->>'status' AS status, standing FROM outbox ORDER BY place"))
    return [tuple(row) for row in rows]


ALL = {
    "prices:*": "oracle:read",
    "markets:*": "perps:read",
    "markets:venue:7": "perps:read",
    f"positions:{ADDRESS}": "perps:read",
    "liquidations": "perps:read",
    "candles:venue:7:1m": "perps:read",
}


@pytest.mark.parametrize(("topic", "scope"), ALL.items())
def test_each_topic_needs_its_scope(ask: Ask, topic: str, scope: str) -> None:
    others = {"oracle:read", "perps:read", "jobs:read", "ops:read", "chain:read"} - {scope}
    refused = ask([topic], others)
    problem(refused, 403, "core.forbidden")
    assert refused.get_json()["required_scope"] == scope
    assert ask([topic], [scope]).get_json()["topics"] == [topic.lower()]
    assert ask([topic], ["admin"]).status_code == 201


@pytest.mark.parametrize(
    "topic",
    [
        "price:*",
        "prices",
        "prices:",
        "prices:*:*",
        "markets:venue",
        "markets:venue:*x y",
        "markets:Venue:7",
        "positions:*",
        "positions:0x12",
        "liquidations:*",
        "candles:venue:7",
        "candles:venue:7:1x",
        "jobs:*",
        "jobs:12",
        "transactions",
        "positions:" + "0x" + "ab" * 20 + "\n",
    ],
)
def test_what_is_no_topic_is_named(ask: Ask, topic: str) -> None:
    answer = ask(["liquidations", topic], ["admin"])
    assert answer.status_code in (404, 422)
    if answer.status_code == 422:
        problem(answer, 422, "streaming.topic_unknown")
        assert answer.get_json()["errors"][0]["pointer"] == "/topics"


def test_a_body_is_strict(ask: Ask) -> None:
    for topics in ([], "prices:*", [1], ["prices:*"] * 51, ["x" * 301], None):
        problem(ask(topics, ["admin"]), 422, "core.invalid_input")


def test_a_price_may_be_named_by_its_symbol(ask: Ask, session: Session) -> None:
    register_feeds(session, [Feed(FEED, "ETH/USD", "pyth")])
    session.commit()
    by_id = f"prices:0x{FEED.hex()}"
    assert ask(["prices:ETH/USD", by_id, "prices:*"], ["oracle:read"]).get_json()["topics"] == [by_id, "prices:*"]
    problem(ask(["prices:DOGE/USD"], ["oracle:read"]), 404, "oracle.feed_unknown")


def test_what_the_ticket_holds(ask: Ask, settings: Settings) -> None:
    made = ask(["prices:*"], ["oracle:read"]).get_json()
    assert (made["url"], made["expires_in"]) == ("http://127.0.0.1:8001/v1/stream", 30)
    with Redis.from_url(settings.cache_url.get_secret_value()) as redis:
        held = msgspec.json.decode(redis.get(key_of(made["ticket"])))  # type: ignore[arg-type]
        assert 0 < redis.ttl(key_of(made["ticket"])) <= 30
        assert not list(redis.scan_iter(f"*{made['ticket']}*"))
    assert held["principal"] == ME
    assert held["subjects"] == ["session-1", ME.removeprefix("user:")]


def test_a_job_is_watched_by_its_owner_and_by_operators(ask: Ask, session: Session) -> None:
    mine = f"jobs:{job(session, ME)}"
    problem(ask([mine], ["jobs:read"], OTHER), 404, "jobs.job_not_found")
    problem(ask([f"jobs:{uuid4()}"], ["jobs:read"], OTHER), 404, "jobs.job_not_found")
    assert told(session) == []
    for who, scopes in ((ME, ["jobs:read"]), (ME, ["jobs:read"]), (OTHER, ["jobs:read", "ops:read"])):
        assert ask([mine], scopes, who).status_code == 201
    assert told(session) == [(mine, "queued", "state")], "it is told once, however many watch"


def test_a_watched_job_tells_of_every_change_and_another_of_none(ask: Ask, session: Session) -> None:
    watched, _ = job(session, ME), job(session, ME)
    ask([f"jobs:{watched}"], ["jobs:read"])
    claim = (
        "UPDATE jobs SET status = 'running', attempt = attempt + 1, claim_token = gen_random_uuid(),"
        " lease_until = now() + interval '1 hour'"
    )
    for change in (
        claim,
        "UPDATE jobs SET lease_until = now() + interval '2 hours'",  # a heartbeat is no news
        "UPDATE jobs SET progress = '{\"pct\": 50.0}'",
        "UPDATE jobs SET status = 'succeeded', claim_token = NULL, lease_until = NULL, finished_at = now()",
    ):
        session.execute(text(change))
    session.commit()
    topic = f"jobs:{watched}"
    assert told(session) == [(topic, status, "state") for status in ("queued", "running", "running", "succeeded")]


def test_a_job_that_has_ended_tells_how(ask: Ask, session: Session) -> None:
    ended = job(session, ME)
    session.execute(text("UPDATE jobs SET status = 'cancelled', finished_at = now()"))
    session.commit()
    assert ask([f"jobs:{ended}"], ["jobs:read"]).status_code == 201
    assert told(session) == [(f"jobs:{ended}", "cancelled", "state")]


def test_who_sends_a_header_is_led_to_the_stream(ask: Ask) -> None:
    ask(["prices:*"], ["oracle:read"])
    client = ask.client  # type: ignore[attr-defined]
    answer = client.get("/v1/stream?topic=prices:*&topic=prices:*&resume=12", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 307
    assert answer.headers["Cache-Control"] == "no-store"
    target = urlsplit(answer.headers["Location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == "http://127.0.0.1:8001/v1/stream"
    assert parse_qs(target.query) == {"ticket": [answer.get_json()["ticket"]], "resume": ["12"]}
    for bad in ("", "?topic=prices:*&resume=-1", "?topic=prices:*&resume=x", "?topics=prices:*"):
        assert client.get(f"/v1/stream{bad}", headers={"Authorization": "Bearer x"}).status_code == 422


def test_without_the_cache_no_ticket_is_made(make_app: Callable[..., Any], settings: Settings) -> None:
    gone = settings.model_copy(update={"cache_url": type(settings.cache_url)("redis://127.0.0.1:1/0")})
    app = make_app(gone, authenticate=lambda _: Principal(ME, frozenset({"oracle:read"}), "session", "s"))
    answer = app.test_client().post(
        "/v1/stream-tickets", json={"topics": ["prices:*"]}, headers={"Authorization": "Bearer x"}
    )
    problem(answer, 503, "core.unavailable")
