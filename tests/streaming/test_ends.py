"""Who is refused or ended, how it is said, and that nobody else notices."""

from __future__ import annotations

import base64
import secrets
import socket
from datetime import UTC, datetime, timedelta

import pytest
import requests
from redis import Redis

from app.accounts.adapters.standing_cache import StandingCache
from app.accounts.types import EPOCH
from app.core.events import NewEvent
from app.core.http.problems import MEDIA_TYPE
from tests.streaming.conftest import TOKEN, MakeWorld, Sse, World, feed_id

OTHER = "user:01a00000-0000-7000-8000-000000000002"


def refused(answer: requests.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:watchkeeper:problem:{code}")


@pytest.mark.parametrize("word", ["", "nonsense"])
def test_nobody_comes_in_without_a_ticket(world: World, word: str) -> None:
    refused(world.get(word), 401, "streaming.ticket_refused")
    assert world.get(word).headers["WWW-Authenticate"] == "Bearer"
    assert world.socket(ticket=word).close_code() == (4401, "streaming.ticket_refused")


def test_a_ticket_works_once_whichever_way_it_is_shown(world: World) -> None:
    word = world.ticket()
    assert world.get("", Authorization=f"Bearer {word}").status_code == 200
    refused(world.get(word), 401, "streaming.ticket_refused")
    refused(world.get("", Authorization=f"Bearer {word}"), 401, "streaming.ticket_refused")
    assert world.socket(ticket=word).close_code() == (4401, "streaming.ticket_refused")


def test_a_refusal_that_is_not_the_tickets_fault_does_not_use_it_up(world: World) -> None:
    word = world.ticket()
    for bad in ("-1", "1.5", "9" * 19, "x", "٣".encode().decode("latin-1")):
        refused(world.get(word, resume=bad), 422, "streaming.bad_resume")
    assert world.get(word, resume=0).status_code == 200


def test_limits_of_a_principal_and_of_the_process(make_world: MakeWorld) -> None:
    world = make_world(STREAM__MAX_PER_PRINCIPAL="2", STREAM__MAX_CONNECTIONS="3")
    first, second = world.socket(), world.sse()
    first.message()
    second.message()
    refused(world.get(world.ticket()), 429, "streaming.too_many_streams")
    assert world.socket().close_code() == (4429, "streaming.too_many_streams")
    third = world.socket(principal=OTHER)
    third.message()
    refused(world.get(world.ticket(principal=OTHER)), 503, "streaming.full")
    assert world.socket(principal=OTHER).close_code() == (1013, "streaming.full")
    first.connection.close()
    settled(world, 2)
    assert world.socket().message()["type"] == "snapshot"


@pytest.mark.parametrize("said", ["{", "[]", "{}", '{"ping": 1, "x": 2}', '{"ping": "' + "x" * 2000 + '"}', b"bytes"])
def test_a_client_says_only_what_it_may(world: World, said: str | bytes) -> None:
    reader, calm = world.socket(), world.socket()
    calm.message()
    reader.message()
    reader.connection.send(said)
    assert reader.close_code() == (4400, "streaming.message_refused")
    number = world.prices(1)
    assert calm.ids_until(number) == [number]


def test_a_reader_who_does_not_read_is_cut_and_the_others_go_on(make_world: MakeWorld) -> None:
    world = make_world(STREAM__QUEUE_EVENTS="40", STREAM__CLOSE_SECONDS="1")
    calm, sse = world.socket(), world.sse()
    calm.message()
    sse.message()
    raw(world, upgrade=True)
    raw(world, upgrade=False)
    settled(world, 4)
    sent = 0
    large = NewEvent("prices", feed_id(0), {"price": "9" * 40_000})
    while subscribers(world) > 2:  # what the kernel and the server hold for a reader is filled first
        assert sent < 1000, "nobody was cut"
        sent = world.emit(*[large] * 10)
        assert calm.ids_until(sent)[-1] == sent
        assert sse.ids_until(sent)[-1] == sent
    assert 'ends_total{code="streaming.too_slow"} 2.0' in metrics(world)


def test_who_hangs_up_at_the_door_is_not_counted(world: World) -> None:
    for _ in range(5):  # at whichever moment of its opening
        for place in range(16):
            raw(world, upgrade=place % 2 == 0).close()
        settled(world, 0)
    assert world.socket().message()["type"] == "snapshot"


def raw(world: World, *, upgrade: bool) -> socket.socket:
    """A client with a small buffer that reads nothing after its request."""
    one = world.open.enter_context(socket.socket())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", world.stream.port))
    lines = [f"GET /v1/stream?ticket={world.ticket()} HTTP/1.1", "Host: localhost"]
    if upgrade:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    one.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return one


def subscribers(world: World) -> int:
    count: int = requests.get(f"{world.stream.url}/health/ready", timeout=10).json()["subscribers"]
    return count


def settled(world: World, count: int) -> None:
    """Wait until the process has noticed who is there."""
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while subscribers(world) != count:
        assert datetime.now(UTC) < deadline, f"{subscribers(world)} subscribers, not {count}"


def metrics(world: World) -> str:
    answer = requests.get(f"{world.stream.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
    assert answer.status_code == 200
    return answer.text


def test_a_revoked_credential_ends_its_streams_and_its_tickets_only(world: World) -> None:
    mine, sse, others = (
        world.socket(session="one"),
        world.sse(session="one"),
        world.socket(session="two", principal=OTHER),
    )
    for reader in (mine, sse, others):
        reader.message()
    waiting = world.ticket(session="one")
    standings(world).mark_changed("one")
    assert mine.close_code() == (4401, "streaming.access_ended")
    name, _, data = sse.message()
    assert (name, data["code"]) == ("close", "streaming.access_ended")
    refused(world.get(waiting), 401, "streaming.ticket_refused")
    number = world.prices(1)
    assert others.ids_until(number) == [number]


def test_a_user_who_changed_ends_all_of_theirs(world: World) -> None:
    changed = "user:01a00000-0000-7000-8000-000000000003"
    mine = world.socket(session="one more", principal=changed)
    mine.message()
    standings(world).mark_changed(changed.removeprefix("user:"))
    assert mine.close_code() == (4401, "streaming.access_ended")


def test_a_mark_from_before_the_ticket_ends_nothing(world: World) -> None:
    standings(world).mark_changed("three")
    world.cache.decrby("wk:changed:three", 10_000)  # ten seconds ago
    reader = world.socket(session="three")
    assert reader.message()["type"] == "snapshot"


def test_an_expired_credential_ends_its_stream(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    reader = world.socket(expires_at=soon)
    assert reader.close_code() == (4401, "streaming.access_ended")
    assert datetime.now(UTC) >= soon
    refused(world.get(world.ticket(expires_at=soon)), 401, "streaming.ticket_refused")


def test_a_cache_that_lost_its_marks_ends_every_stream(world: World) -> None:
    reader = world.socket()
    reader.message()
    looked_at(world)
    world.cache.flushall()
    assert reader.close_code() == (4401, "streaming.access_ended")


def looked_at(world: World) -> None:
    """The watch has seen the cache's word."""
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while world.cache.get(EPOCH) is None:
        assert datetime.now(UTC) < deadline


def standings(world: World) -> StandingCache:
    cache: Redis = world.cache
    return StandingCache(cache, trust_seconds=30, wait=lambda _: None)


def test_at_the_end_of_the_process_everybody_is_told_and_goes_on_elsewhere(own_world: World) -> None:
    world = own_world
    world.prices(1)
    reader, sse = world.socket(), world.sse()
    reader.message()
    sse.message()
    world.stream.terminate()
    assert reader.close_code() == (1001, "streaming.going_away")
    name, _, data = sse.message()
    assert (name, data["code"]) == ("close", "streaming.going_away")
    assert ended(sse)
    world.stream.stop()
    world.prices(2, 3)
    world.stream.start()
    again = world.socket(resume=1)
    assert again.message()["type"] == "resumed"
    assert again.ids_until(3) == [2, 3]


def ended(sse: Sse) -> bool:
    with pytest.raises(EOFError):
        sse.message()
    return True


def test_other_paths_methods_and_the_metrics_token(world: World) -> None:
    url = world.stream.url
    refused(requests.get(f"{url}/v1/jobs", timeout=10), 404, "streaming.path_unknown")
    refused(requests.post(f"{url}/v1/stream", timeout=10), 405, "core.method_not_allowed")
    refused(requests.get(f"{url}/metrics", timeout=10), 401, "core.unauthenticated")
    refused(
        requests.get(f"{url}/metrics", headers={"Authorization": "Bearer x"}, timeout=10), 401, "core.unauthenticated"
    )
    assert requests.get(f"{url}/health/live", timeout=10).json()["status"] == "ok"
    reader = world.socket()
    reader.message()
    assert 'watchkeeper_stream_subscribers{transport="websocket"}' in metrics(world)


def test_cors_is_for_the_named_origins(make_world: MakeWorld) -> None:
    world = make_world(HTTP__CORS_ORIGINS='["https://app.example.org"]')
    mine, strange = {"Origin": "https://app.example.org"}, {"Origin": "https://evil.example.org"}
    allowed = world.get(world.ticket(), **mine)
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "Access-Control-Allow-Origin" not in world.get(world.ticket(), **strange).headers
    assert world.get("", **mine).headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    asked = requests.options(f"{world.stream.url}/v1/stream", headers=mine, timeout=10)
    assert (asked.status_code, asked.headers["Access-Control-Allow-Headers"]) == (204, "Authorization, Last-Event-ID")
