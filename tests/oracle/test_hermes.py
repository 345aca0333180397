"""The Hermes client over real sockets: what it asks, and every way in which a server can fail it."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from app.oracle.adapters import hermes as adapter
from app.oracle.adapters.hermes import Hermes, read_latest
from app.oracle.adapters.hermes_http import retry_after_seconds
from app.oracle.errors import SourceAnswerInvalid, SourceRefused, SourceUnavailable, UpdateInvalid
from app.oracle.maths.verification import verify_answer
from tests.fakes.hermes import (
    FakeHermes,
    Fault,
    SignedPrices,
    answer,
    cut_short,
    drip,
    hang_up,
    never_answer,
    serving,
)
from tests.oracle.updates import (
    BTC,
    ETH,
    NOW,
    RECORDED_ANSWERS,
    SEVEN,
    SOL,
    message,
    trust_in,
)

UNKNOWN = bytes([0xEE]) * 32
KEY = SecretStr("a-key-nobody-should-see")
PATIENCE_SECONDS = 0.3


@pytest.fixture
def server() -> Iterator[FakeHermes]:
    fake_server = FakeHermes(SignedPrices(SEVEN, [message(BTC), message(ETH)]))
    with serving(fake_server):
        yield fake_server


@pytest.fixture
def client(server: FakeHermes) -> Hermes:
    return Hermes(server.url + "/", KEY, backoff_seconds=0.01)


@pytest.fixture
def hasty_client(server: FakeHermes) -> Hermes:
    return Hermes(server.url, KEY, timeout_seconds=PATIENCE_SECONDS, backoff_seconds=0.01)


def test_the_key_goes_into_the_header_and_nowhere_else(server: FakeHermes, client: Hermes) -> None:
    client.latest([BTC])
    ((path, query, headers),) = server.requests
    assert headers["Authorization"] == f"Bearer {KEY.get_secret_value()}"
    assert path == "/v2/updates/price/latest"
    assert KEY.get_secret_value() not in repr((client, vars(client), query))


def test_many_feeds_are_one_request_a_hundred(server: FakeHermes, client: Hermes) -> None:
    feeds = [number.to_bytes(32, "big") for number in range(250)]
    publisher = server.publisher
    assert isinstance(publisher, SignedPrices)
    publisher.put(*(message(feed) for feed in feeds[:120]))
    publisher.put(*(message(feed) for feed in feeds[120:]))
    found = client.latest(feeds)
    assert [len(query) - 2 for _path, query, _headers in server.requests] == [100, 100, 50]
    assert verify_answer(found.updates, feeds, trust_in(), NOW)
    assert len(found.updates) == 4  # two slots meet in the second request


@pytest.mark.parametrize("fault", [hang_up, cut_short, answer(500), answer(502), answer(503, b"<html>"), answer(408)])
def test_what_can_pass_is_tried_again(server: FakeHermes, client: Hermes, fault: Fault) -> None:
    server.faults.extend([fault, fault])
    assert client.latest([BTC]).updates
    assert len(server.requests) == 3


def test_an_unfilled_cache_is_not_a_missing_feed(server: FakeHermes, client: Hermes) -> None:
    server.faults.append(answer(404, b"Update data not found"))
    assert client.latest([BTC]).missing == frozenset()
    assert len(server.requests) == 2


def test_tries_are_bounded(server: FakeHermes, client: Hermes) -> None:
    server.faults.extend([answer(500)] * 9)
    with pytest.raises(SourceUnavailable, match="answered 500") as failed:
        client.latest([BTC])
    assert failed.value.retryable
    assert len(server.requests) == 3


@pytest.mark.parametrize("fault", [never_answer, drip])
def test_a_slow_server_is_given_up_on(server: FakeHermes, hasty_client: Hermes, fault: Fault) -> None:
    server.faults.extend([fault] * 3)
    started = time.monotonic()
    with pytest.raises(SourceUnavailable):
        hasty_client.latest([BTC])
    assert time.monotonic() - started < 5 * PATIENCE_SECONDS
    assert 1 <= len(server.requests) <= 3


def test_nobody_there_is_a_failure_that_can_pass() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        with pytest.raises(SourceUnavailable) as failed:
            Hermes(f"http://127.0.0.1:{port}", KEY, timeout_seconds=PATIENCE_SECONDS).latest([BTC])
    assert KEY.get_secret_value() not in str(failed.value.as_dict())


@pytest.mark.parametrize("status", [401, 403, 400, 414])
def test_a_refusal_is_never_tried_again(server: FakeHermes, client: Hermes, status: int) -> None:
    server.faults.append(answer(status, b"key a-key-nobody-should-see is wrong"))
    with pytest.raises(SourceRefused) as refused:
        client.latest([BTC])
    assert not refused.value.retryable
    assert len(server.requests) == 1
    assert KEY.get_secret_value() not in str(refused.value.as_dict())


@pytest.mark.parametrize(("header", "seconds"), [({"Retry_After": "7"}, 7), ({}, 60)])
def test_a_rate_limit_is_kept(server: FakeHermes, client: Hermes, header: dict[str, str], seconds: float) -> None:
    server.faults.append(answer(429, b"", **header))
    for _ in range(2):
        with pytest.raises(SourceUnavailable) as limited:
            client.latest([BTC])
        assert limited.value.retry_after_seconds == pytest.approx(seconds, abs=1)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 60),
        ("12", 12),
        ("0", 1),
        ("999999", 600),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 1),
        ("Thu, 01 Jan 2027", 60),
        ("soon", 60),
        ("-5", 60),
    ],
)
def test_both_forms_of_retry_after(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header, NOW.astimezone(UTC)) == seconds


def test_a_redirect_is_not_followed(server: FakeHermes, client: Hermes) -> None:
    elsewhere = FakeHermes(SignedPrices(SEVEN, [message(BTC)]))
    with serving(elsewhere):
        server.faults.append(answer(302, b"", Location=f"http://localhost:{elsewhere.server_port}/v2?secret=1"))
        with pytest.raises(SourceRefused, match="redirects to localhost; set ORACLE__HERMES_URL"):
            client.latest([BTC])
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "fault",
    [
        answer(200, b" " * (5 << 20)),
        answer(200, gzip.compress(b" " * (50 << 20)), Content_Encoding="gzip"),
    ],
    ids=["plain", "packed"],
)
def test_an_endless_answer_is_cut_off(server: FakeHermes, client: Hermes, fault: Fault) -> None:
    server.faults.append(fault)
    with pytest.raises(SourceAnswerInvalid, match="more than"):
        client.latest([BTC])


def test_missing_feeds_that_were_not_asked_for_are_no_answer(server: FakeHermes, client: Hermes) -> None:
    server.faults.append(answer(404, b"Price ids not found: " + UNKNOWN.hex().encode()))
    with pytest.raises(SourceAnswerInvalid):
        client.latest([BTC])


def test_a_server_that_finds_new_feeds_missing_each_time_is_given_up_on(server: FakeHermes, client: Hermes) -> None:
    for feed in (BTC, ETH, SOL):
        server.faults.append(answer(404, b"Price ids not found: 0x" + feed.hex().encode()))
    with pytest.raises(SourceUnavailable, match="new missing feeds"):
        client.latest([BTC, ETH, SOL, UNKNOWN])
    assert len(server.requests) == adapter.MISSING_ROUNDS


def test_a_packed_answer_is_unpacked(server: FakeHermes, client: Hermes) -> None:
    body = json.dumps(server.publisher.latest([BTC])).encode()
    server.faults.append(answer(200, gzip.compress(body), Content_Encoding="gzip"))
    assert client.latest([BTC]).updates


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The recorded answer with one thing changed."""
    copy = json.loads(json.dumps(RECORDED_ANSWERS[0]))
    change(copy)
    return json.dumps(copy).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        changed(lambda said: said.pop("parsed")),
        changed(lambda said: said["binary"].update(encoding="base64")),
        changed(lambda said: said["binary"].update(data=["zz"])),
        changed(lambda said: said["binary"].update(data="504e41")),
        changed(lambda said: said["parsed"][0]["price"].update(price=6140993501000)),
        changed(lambda said: said["parsed"][0]["price"].update(price="6140993501001")),
        changed(lambda said: said["parsed"][0]["price"].update(price="6.1e12")),
        changed(lambda said: said["parsed"][0]["price"].update(publish_time=1714746102)),
        changed(lambda said: said["parsed"][0]["price"].update(expo="-8")),
        changed(lambda said: said["parsed"][1].update(id=said["parsed"][0]["id"])),
        changed(lambda said: said["parsed"][0]["ema_price"].update(conf="1")),
        changed(lambda said: said["parsed"].pop()),
        changed(lambda said: said["parsed"].append(said["parsed"][0])),
        changed(lambda said: said["binary"].update(data=[])),
    ],
)
def test_an_answer_in_another_form_or_at_odds_with_itself_is_refused(body: bytes) -> None:
    assert read_latest(changed(lambda said: said.update(something_new=1)))
    with pytest.raises(SourceAnswerInvalid):
        read_latest(body)


def test_a_malformed_blob_is_an_invalid_update() -> None:
    with pytest.raises(UpdateInvalid):
        read_latest(changed(lambda said: said["binary"].update(data=[said["binary"]["data"][0] + "00"])))
