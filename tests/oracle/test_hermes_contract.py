"""One contract for every Hermes: the real one's recorded answers, the tests' fake, the local chain's price server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

import pytest

from app.core.clock import utc_now
from app.oracle.adapters.hermes import Hermes
from app.oracle.maths.verification import verify_answer
from app.oracle.types.updates import Trust
from contracts.feeds import FEEDS
from contracts.guardians import DEVELOPMENT_GUARDIANS
from contracts.price_server import PriceServer
from tests.fakes.hermes import FakeHermes, RecordedAnswers, SignedPrices, serving
from tests.oracle.updates import BTC, ETH, MAINNET, NOW, RECORDED_ANSWERS, RECORDED_AT, SEVEN, message, trust_in

UNKNOWN = bytes([0xEE]) * 32


@dataclass(frozen=True)
class Subject:
    """A server under the contract test: two feeds it has, and who signs for it."""

    url: str
    feeds: tuple[bytes, bytes]
    trust: Trust
    now: datetime


def recorded(stack: ExitStack) -> Subject:
    """The real service's recorded answers."""
    server = FakeHermes(RecordedAnswers(RECORDED_ANSWERS[:2]))
    stack.enter_context(serving(server))
    btc, other = (bytes.fromhex(item["id"]) for item in RECORDED_ANSWERS[0]["parsed"])
    return Subject(server.url, (btc, other), MAINNET, RECORDED_AT)


def fake(stack: ExitStack) -> Subject:
    """The tests' fake."""
    server = FakeHermes(SignedPrices(SEVEN, [message(BTC), message(ETH)]))
    stack.enter_context(serving(server))
    return Subject(server.url, (BTC, ETH), trust_in(), NOW)


def price_server(stack: ExitStack) -> Subject:
    """The local chain's price server."""
    server = PriceServer(0, seed=7)
    stack.enter_context(serving(server))
    feeds = (FEEDS[0].price_id, FEEDS[1].price_id)
    return Subject(server.url, feeds, trust_in(DEVELOPMENT_GUARDIANS), utc_now())


class TestContract:
    """What every Hermes does, the real one among them."""

    @pytest.fixture(params=[recorded, fake, price_server], ids=lambda make: make.__name__)
    def subject(self, request: pytest.FixtureRequest) -> Iterator[Subject]:
        with ExitStack() as stack:
            yield request.param(stack)

    def test_the_feeds_asked_for_come_signed(self, subject: Subject) -> None:
        found = Hermes(subject.url).latest(subject.feeds)
        assert found.missing == frozenset()
        verified = verify_answer(found.updates, subject.feeds, subject.trust, subject.now)
        assert {price.feed for update in verified for price in update.prices} == set(subject.feeds)

    def test_one_feed_comes_alone(self, subject: Subject) -> None:
        found = Hermes(subject.url).latest([subject.feeds[0]])
        verified = verify_answer(found.updates, [subject.feeds[0]], subject.trust, subject.now)
        assert [price.feed for update in verified for price in update.prices] == [subject.feeds[0]]

    def test_a_missing_feed_does_not_take_the_others_down(self, subject: Subject) -> None:
        found = Hermes(subject.url).latest([UNKNOWN, *subject.feeds])
        assert found.missing == {UNKNOWN}
        assert verify_answer(found.updates, subject.feeds, subject.trust, subject.now)

    def test_nothing_is_left_when_every_feed_is_missing(self, subject: Subject) -> None:
        found = Hermes(subject.url).latest([UNKNOWN, bytes(32)])
        assert found.updates == ()
        assert found.missing == {UNKNOWN, bytes(32)}

    def test_a_feed_named_twice_is_asked_for_once(self, subject: Subject) -> None:
        found = Hermes(subject.url).latest([subject.feeds[0], *subject.feeds, subject.feeds[1]])
        assert verify_answer(found.updates, subject.feeds, subject.trust, subject.now)
