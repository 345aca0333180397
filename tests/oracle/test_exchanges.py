"""Exchange tickers: one contract for recorded and made answers, no price from a dead book, limits that are honoured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.outbound import Outbound
from app.oracle.adapters.exchange_http import ExchangeHttp
from app.oracle.adapters.exchanges import Binance, Coinbase, Exchange, Kraken, ask
from app.oracle.errors import SourceAnswerInvalid
from app.oracle.maths.books import book_flaw, book_reading, number
from app.oracle.types.sources import Book, Flaw, Reading
from tests.fakes.exchanges import MAKERS, FakeExchange, Fault, hang_up, said
from tests.fakes.hermes import serving

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "exchange_payloads.json").read_text())
NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
KINDS = {"binance": Binance, "coinbase": Coinbase, "kraken": Kraken}


@dataclass
class Subject:
    """An exchange under test: its server, our adapter for it, and the markets it has, with what to expect of them."""

    server: FakeExchange
    exchange: Exchange
    markets: dict[str, tuple[str, str, datetime]]

    def ask(self, *markets: str) -> dict[str, Reading]:
        """The readings by market."""
        return {one.symbol: one for one in ask(self.exchange, {market: market for market in markets}, lambda: NOW)}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def subject(stack: ExitStack, kind: str, tickers: dict[str, Any], markets: dict[str, Any]) -> Subject:
    server = FakeExchange(kind, tickers)
    stack.enter_context(serving(server))
    outbound = Outbound(pool_size=2, connect_seconds=2, read_seconds=2, deadline_seconds=4)
    stack.callback(outbound.close)
    return Subject(server, KINDS[kind](ExchangeHttp(server.url, outbound, backoff_seconds=0.0)), markets)


def made(stack: ExitStack, kind: str) -> Subject:
    """Two markets with a living book."""
    at = NOW if kind == "kraken" else NOW - timedelta(seconds=3)
    markets = {"BTCUSD": ("61409.93", "61410.05", at), "ETHUSD": ("3012.4", "3012.5", at)}
    return subject(stack, kind, {name: MAKERS[kind](name, *book) for name, book in markets.items()}, markets)


def recorded(stack: ExitStack, kind: str) -> Subject:
    """The real exchange's recorded answer."""
    ticker = RECORDED[kind]
    if kind == "binance":
        at = datetime.fromtimestamp(1499869899, UTC) + timedelta(milliseconds=40)
        return subject(stack, kind, {"BNBBTC": ticker}, {"BNBBTC": ("4.00000000", "4.00000200", at)})
    if kind == "coinbase":
        at = datetime(2015, 4, 8, 20, 49, 6, 506997, UTC)
        return subject(stack, kind, {"BTC-USD": ticker}, {"BTC-USD": ("637", "637.11", at)})
    return subject(stack, kind, ticker["result"], {"XXBTZEUR": ("560.46600", "562.26651", NOW)})


@pytest.mark.parametrize("kind", KINDS)
class TestContract:
    """What every exchange does, recorded or made."""

    @pytest.fixture(params=[recorded, made], ids=lambda make: make.__name__)
    def one(self, request: pytest.FixtureRequest, stack: ExitStack, kind: str) -> Subject:
        found: Subject = request.param(stack, kind)
        return found

    def test_the_price_is_the_middle_of_the_book(self, one: Subject) -> None:
        found = one.ask(*one.markets)
        for market, (bid, ask_, at) in one.markets.items():
            middle, half = (Decimal(bid) + Decimal(ask_)) / 2, (Decimal(ask_) - Decimal(bid)) / 2
            reading = found[market]
            assert (reading.price, reading.confidence, reading.observed_at, reading.flaw) == (middle, half, at, None)

    def test_a_market_that_is_not_traded_there_takes_no_other_down(self, one: Subject) -> None:
        found = one.ask("NOSUCHPAIR", *one.markets)
        assert found.pop("NOSUCHPAIR").flaw is Flaw.REFUSED
        assert [reading.flaw for reading in found.values()] == [None] * len(one.markets)


@pytest.mark.parametrize("kind", KINDS)
class TestFailures:
    """What goes wrong outside."""

    @pytest.fixture
    def one(self, stack: ExitStack, kind: str) -> Subject:
        return made(stack, kind)

    @pytest.mark.parametrize(
        ("bid", "ask_", "flaw"),
        [
            ("0.00000000", "0.00000000", Flaw.BOOK_EMPTY),
            ("10", "0", Flaw.BOOK_EMPTY),
            ("10.01", "10.00", Flaw.BOOK_CROSSED),
            ("10.00", "10.00", Flaw.BOOK_CROSSED),
        ],
    )
    def test_a_dead_book_is_no_price(self, one: Subject, kind: str, bid: str, ask_: str, flaw: Flaw) -> None:
        one.server.tickers["BTCUSD"] = MAKERS[kind]("BTCUSD", bid, ask_, NOW)
        found = one.ask("BTCUSD", "ETHUSD")
        assert (found["BTCUSD"].price, found["BTCUSD"].flaw) == (None, flaw)
        assert found["ETHUSD"].flaw is None

    @pytest.mark.parametrize("status", [429, 418])
    def test_who_limits_us_is_left_alone_for_so_long(self, one: Subject, status: int) -> None:
        one.server.faults.append(said(status, Retry_After="120"))
        assert one.ask("BTCUSD")["BTCUSD"].flaw is Flaw.UNAVAILABLE
        assert one.ask("BTCUSD")["BTCUSD"].flaw is Flaw.UNAVAILABLE
        assert len(one.server.requests) == 1

    def test_a_limit_that_is_over_is_forgotten(self, one: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        one.server.faults.append(said(429, Retry_After="120"))
        one.ask("BTCUSD")
        http: ExchangeHttp = one.exchange._http  # type: ignore[attr-defined]
        http._blocked_until -= 121
        assert one.ask("BTCUSD")["BTCUSD"].flaw is None

    @pytest.mark.parametrize("fault", [said(500), said(503), said(408), hang_up], ids=["500", "503", "408", "hang up"])
    def test_what_passes_is_tried_once_more(self, one: Subject, fault: Fault) -> None:
        one.server.faults.append(fault)
        assert one.ask("BTCUSD")["BTCUSD"].flaw is None
        one.server.faults += [fault] * 4
        assert one.ask("BTCUSD")["BTCUSD"].flaw is Flaw.UNAVAILABLE
        one.server.faults.clear()
        assert one.ask("BTCUSD")["BTCUSD"].flaw is None

    @pytest.mark.parametrize("fault", [said(403), said(451), said(302, Location="https://elsewhere.example/")])
    def test_a_refusal_is_not_tried_again(self, one: Subject, fault: Fault) -> None:
        one.server.faults.append(fault)
        assert one.ask("BTCUSD")["BTCUSD"].flaw is Flaw.REFUSED
        assert len(one.server.requests) == 1

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"null", b"\xff", b'{"bid":1,"ask":2}'])
    def test_another_form_is_no_price(self, one: Subject, body: bytes) -> None:
        one.server.faults += [said(200, body)] * 2
        assert one.ask("BTCUSD")["BTCUSD"].flaw is Flaw.ANSWER_INVALID


@pytest.mark.parametrize("status", ["maintenance", "cancel_only", "post_only"])
def test_kraken_halted_is_no_price(stack: ExitStack, status: str) -> None:
    one = made(stack, "kraken")
    one.server.status = status
    assert one.ask("BTCUSD")["BTCUSD"].flaw is Flaw.HALTED
    one.server.status = "online"
    assert one.ask("BTCUSD")["BTCUSD"].flaw is None


@pytest.mark.parametrize(
    ("error", "flaw", "requests"),
    [
        ("EAPI:Rate limit exceeded", Flaw.UNAVAILABLE, 1),
        ("EService:Unavailable", Flaw.UNAVAILABLE, 2),
        ("EGeneral:Internal error", Flaw.REFUSED, 2),
    ],
)
def test_krakens_errors_come_with_a_200(stack: ExitStack, error: str, flaw: Flaw, requests: int) -> None:
    one = made(stack, "kraken")
    one.server.faults.append(said(200, {"error": [error]}))
    assert one.ask("BTCUSD")["BTCUSD"].flaw is flaw
    one.server.faults.append(said(200, {"error": [error]}))
    one.ask("BTCUSD")
    assert len(one.server.requests) == requests


@pytest.mark.parametrize("text", ["", "-1", "1e5", "NaN", "Infinity", "0x1", " 1", "1.", ".5", "1,000", "9" * 31, "٣"])
def test_only_plain_decimals_are_numbers(text: str) -> None:
    with pytest.raises(SourceAnswerInvalid):
        number(text)


PRICES = st.integers(1, 10**24).map(lambda units: Decimal(units).scaleb(-12))


@given(PRICES, PRICES)
def test_the_middle_and_the_half_width_are_exact(one: Decimal, other: Decimal) -> None:
    book = Book(min(one, other), max(one, other))
    reading = book_reading("X", "binance", book, NOW)
    if one == other:
        assert (book_flaw(book), reading.price) == (Flaw.BOOK_CROSSED, None)
        return
    assert reading.price is not None
    assert reading.confidence is not None
    assert reading.price - reading.confidence == book.bid
    assert reading.price + reading.confidence == book.ask
