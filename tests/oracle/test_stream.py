"""Hermes' stream: events out of pieces, silence that is noticed, the fall-back by REST, the process that follows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.oracle.adapters import OracleParts, from_settings
from app.oracle.adapters.event_source import EventReader
from app.oracle.adapters.hermes import Hermes
from app.oracle.errors import SourceAnswerInvalid, SourceRefused, SourceUnavailable, UpdateInvalid
from app.oracle.maths.pnau import parse_update
from app.oracle.maths.verification import verify_answer
from app.oracle.services.refresh import record_updates
from app.oracle.types.prices import Feed
from config.groups import OracleSettings
from tasks.price_stream import PriceStream
from tests.fakes.hermes import LATEST, STREAM, FakeHermes, RecordedAnswers, SignedPrices, answer, serving
from tests.oracle.conftest import rows
from tests.oracle.test_refresh import WRONG_SET
from tests.oracle.updates import BTC, ETH, MAINNET, NOW, RECORDED_ANSWERS, RECORDED_AT, SEVEN, SOL, message, signed
from tests.perps.history import History, market_added, our_protocol

FEEDS = [BTC, ETH, SOL]


def read(*pieces: bytes) -> list[tuple[str, bytes]]:
    reader = EventReader(1000)
    return [(event.name, event.data) for piece in pieces for event in reader.feed(piece)]


@pytest.mark.parametrize(
    ("sent", "events"),
    [
        (b"data:1\n\n", [("message", b"1")]),
        (b"data: 1\n\n", [("message", b"1")]),
        (b"data:  1\n\n", [("message", b" 1")]),
        (b"data:1\ndata:2\n\n", [("message", b"1\n2")]),
        (b"event: error\ndata:x\n\n", [("error", b"x")]),
        (b"event: error\ndata:x\n\ndata:y\n\n", [("error", b"x"), ("message", b"y")]),
        (b":keep-alive\n\n", []),
        (b"event: empty\n\n", []),
        (b"id:1\nretry:5\nunknown\ndata:1\n\n", [("message", b"1")]),
        (b"data:1\r\n\r\ndata:2\r\rdata:3\n\n", [("message", b"1"), ("message", b"2"), ("message", b"3")]),
        (b"data\n\n", [("message", b"")]),
        (b"data:unfinished\n", []),
    ],
)
def test_events_are_read_as_the_standard_says_in_any_pieces(sent: bytes, events: list[tuple[str, bytes]]) -> None:
    assert read(sent) == events
    assert read(*(bytes([byte]) for byte in sent)) == events


@given(st.lists(st.sampled_from([b"data:12\r\n", b"\r\n", b"\n", b"\r", b":c\n", b"event:e\n"])), st.randoms())
def test_where_the_network_cuts_makes_no_difference(parts: list[bytes], random: Any) -> None:
    sent = b"".join(parts)
    cuts = sorted(random.randrange(len(sent) + 1) for _ in range(3))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert read(*pieces) == read(sent)


@pytest.mark.parametrize("sent", [b"data:" + b"x" * 1000, b"data:" + b"x" * 600 + b"\ndata:" + b"x" * 600])
def test_an_event_without_end_is_given_up(sent: bytes) -> None:
    with pytest.raises(SourceAnswerInvalid):
        list(EventReader(1000).feed(sent))


def test_the_recorded_stream_verifies() -> None:
    recorded = RECORDED_ANSWERS[1:]
    server = FakeHermes(RecordedAnswers(recorded))
    feeds = [bytes.fromhex(recorded[0]["parsed"][0]["id"])]
    with serving(server):
        for one in recorded:
            server.send(b"data:" + json.dumps(one).encode() + b"\n\n")
        stream = Hermes(server.url).stream(feeds, silence_seconds=5)
        for one in recorded:
            (verified,) = verify_answer(next(stream), feeds, MAINNET, RECORDED_AT)
            assert verified.prices[0].price == int(one["parsed"][0]["price"]["price"])
        stream.close()


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (None, SourceUnavailable),
        (b"event: error\ndata: cut\n\n", SourceUnavailable),
        (b"data:{}\n\n", SourceAnswerInvalid),
    ],
)
def test_a_stream_fails_when_it_ends_errs_or_lies(
    hermes: FakeHermes, sent: bytes | None, error: type[Exception]
) -> None:
    hermes.send(sent)
    with pytest.raises(error, match=r"ended|form"):
        next(Hermes(hermes.url).stream(FEEDS, silence_seconds=5))


def test_comments_are_no_sign_of_life(hermes: FakeHermes) -> None:
    over = threading.Event()

    def keep_alive() -> None:
        for _ in range(200):
            if over.wait(0.02):
                return
            hermes.send(b":\n\n")
        hermes.send(None)

    thread = threading.Thread(target=keep_alive)
    thread.start()
    try:
        with pytest.raises(SourceUnavailable, match="no update for"):
            next(Hermes(hermes.url).stream(FEEDS, silence_seconds=0.2))
    finally:
        over.set()
        thread.join()


def test_complete_silence_is_noticed_too(hermes: FakeHermes) -> None:
    with pytest.raises(SourceUnavailable):
        next(Hermes(hermes.url).stream(FEEDS, silence_seconds=0.2))


@pytest.mark.parametrize(
    ("fault", "error"),
    [(answer(401), SourceRefused), (answer(503), SourceUnavailable), (answer(429), SourceUnavailable)],
)
def test_a_stream_that_does_not_open_says_why(hermes: FakeHermes, fault: Any, error: type[Exception]) -> None:
    hermes.faults.append(fault)
    with pytest.raises(error):
        next(Hermes(hermes.url).stream(FEEDS, silence_seconds=1))


def test_a_missing_feed_does_not_take_the_stream_down(hermes: FakeHermes) -> None:
    hermes.publish(FEEDS)
    (update,) = {
        update.vaa.slot for update in next(Hermes(hermes.url).stream([*FEEDS, b"\xee" * 32], silence_seconds=5))
    }
    assert update == 2
    with pytest.raises(SourceUnavailable):
        next(Hermes(hermes.url).stream([b"\xee" * 32], silence_seconds=5))


# ---------------------------------------------------------------- the process


@pytest.fixture
def prices() -> SignedPrices:
    at = int(time.time())
    return SignedPrices(SEVEN, [message(feed, publish_time=at) for feed in FEEDS])


Following = Callable[..., Any]


@pytest.fixture
def following(hermes: FakeHermes, engine: Engine, redis: Redis, followed: None) -> Following:
    @contextmanager
    def _following(**changes: Any) -> Iterator[PriceStream]:
        settings = OracleSettings(
            hermes_url=hermes.url,
            signers=tuple("0x" + address.hex() for address in SEVEN.addresses),
            **({"stream_record_seconds": 0, "stream_silence_seconds": 0.5} | changes),
        )
        stream = PriceStream(engine, from_settings(settings, redis, chain_id=1), settings, (our_protocol(),))
        stop = threading.Event()
        thread = threading.Thread(target=stream.run, args=(stop,))
        thread.start()
        try:
            yield stream
        finally:
            stop.set()
            hermes.released.set()
            thread.join(20)
            assert not thread.is_alive()

    return _following


def wait_for(session: Session, statement: str, wanted: Any, seconds: float = 20.0) -> None:
    """Until the statement's only value is so."""
    deadline = time.monotonic() + seconds
    found = None
    while time.monotonic() < deadline:
        ((found,),) = rows(session, statement)
        session.rollback()
        if found == wanted:
            return
        time.sleep(0.02)
    raise AssertionError(f"{statement}: {found!r}, not {wanted!r}")


LATEST_BTC = "SELECT price::bigint FROM oracle_feeds WHERE symbol = 'BTC/USD'"


def opened(hermes: FakeHermes) -> int:
    return sum(path == STREAM for path, _, _ in hermes.requests)


def test_what_the_stream_brings_is_recorded(
    session: Session, hermes: FakeHermes, prices: SignedPrices, following: Following
) -> None:
    with following(stream_silence_seconds=20):
        for step in range(1, 4):
            prices.put(message(BTC, price=step, publish_time=int(time.time()) - 4 + step))
            hermes.publish([BTC])
        wait_for(session, LATEST_BTC, 3)
        wait_for(session, "SELECT count(*) FROM oracle_prices", 3)
        assert {path for path, _, _ in hermes.requests} == {STREAM}
        assert opened(hermes) == 1


def test_what_the_stream_brings_has_its_markets_searched(
    session: Session, hermes: FakeHermes, prices: SignedPrices, following: Following
) -> None:
    History(session, our_protocol()).fold(1, market_added(1, pyth_price_id=BTC))
    session.commit()
    with following(stream_silence_seconds=20):
        prices.put(message(BTC, price=5, publish_time=int(time.time())))
        hermes.publish([BTC])
        wait_for(session, LATEST_BTC, 5)
    queued = rows(session, "SELECT kind, params ->> 'market', principal FROM jobs ORDER BY kind")
    assert [tuple(row) for row in queued] == [
        ("perps.execute_orders", "1", "system"),
        ("perps.scan_liquidations", "1", "system"),
    ]


def test_a_silent_stream_falls_back_to_rest_and_is_opened_again(
    session: Session, hermes: FakeHermes, prices: SignedPrices, following: Following
) -> None:
    prices.put(message(BTC, price=7, publish_time=int(time.time())))
    with following():
        wait_for(session, LATEST_BTC, 7)  # nothing came down the stream
        assert LATEST in {path for path, _, _ in hermes.requests}
        deadline = time.monotonic() + 20
        while opened(hermes) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        prices.put(message(BTC, price=8, publish_time=int(time.time()) + 1))
        hermes.publish([BTC])
        wait_for(session, LATEST_BTC, 8)
        assert opened(hermes) >= 2


def test_an_update_that_does_not_verify_is_not_recorded_and_the_follower_goes_on(
    session: Session, hermes: FakeHermes, prices: SignedPrices, following: Following
) -> None:
    with following(stream_silence_seconds=5):
        prices.guardians = WRONG_SET
        prices.put(message(BTC, price=666, publish_time=int(time.time())))
        hermes.publish([BTC])
        deadline = time.monotonic() + 20
        while opened(hermes) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        prices.guardians = SEVEN
        prices.put(message(BTC, price=9, publish_time=int(time.time()) + 1))
        hermes.publish([BTC])
        wait_for(session, LATEST_BTC, 9)
    assert rows(session, "SELECT count(*) FROM oracle_prices WHERE price = 666") == [(0,)]


def test_a_feed_that_was_not_asked_for_refuses_the_update(session: Session, parts: OracleParts) -> None:
    updates = (parse_update(signed(message(BTC), message(ETH))),)
    with pytest.raises(UpdateInvalid, match="feed not asked for"):
        record_updates(
            session, updates, feeds={ETH: Feed(ETH, "ETH/USD")}, trust=parts.trust, window=parts.window, now=NOW
        )
