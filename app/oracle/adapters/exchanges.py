"""The tickers of Binance, Coinbase Exchange and Kraken: their public answers, read into books.

A market in a stablecoin is a price in that coin: which market stands for which symbol is the operator's to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from app.core.errors import AppError
from app.core.logging import get_logger
from app.oracle.adapters.exchange_http import ExchangeHttp, MarketUnknown
from app.oracle.errors import SourceAnswerInvalid, SourceRefused, SourceUnavailable
from app.oracle.maths.books import book_reading, number
from app.oracle.types.sources import Book, Flaw, Reading

log = get_logger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KRAKEN_LIMITS = ("EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EGeneral:Temporary lockout")
KRAKEN_UNKNOWN = ("EQuery:Unknown asset pair", "EQuery:Invalid asset pair")
FLAWS: Mapping[type[AppError], Flaw] = {
    SourceUnavailable: Flaw.UNAVAILABLE,
    SourceRefused: Flaw.REFUSED,
    SourceAnswerInvalid: Flaw.ANSWER_INVALID,
}


class Exchange(Protocol):
    """An exchange that is asked for several markets at once."""

    name: str

    def books(self, markets: Sequence[str]) -> Mapping[str, Book]:
        """The books of these markets; raises MarketUnknown when it has not all of them, and the source's errors."""


def ask(exchange: Exchange, markets: Mapping[str, str], clock: Callable[[], datetime]) -> tuple[Reading, ...]:
    """What the exchange says of every symbol; `markets` maps symbols to its names for them.

    A market that it does not know is flawed and takes no other down: each is then asked for alone.
    """
    try:
        books = exchange.books(list(markets.values()))
    except MarketUnknown:
        if len(markets) == 1:
            return _flawed(exchange, markets, Flaw.REFUSED)
        return tuple(
            reading for symbol, market in markets.items() for reading in ask(exchange, {symbol: market}, clock)
        )
    except (SourceUnavailable, SourceRefused, SourceAnswerInvalid) as error:
        log.warning("exchange_failed", exchange=exchange.name, code=error.code, detail=error.detail)
        return _flawed(exchange, markets, FLAWS[type(error)])
    received_at = clock()
    return tuple(book_reading(symbol, exchange.name, books[market], received_at) for symbol, market in markets.items())


def _flawed(exchange: Exchange, markets: Mapping[str, str], flaw: Flaw) -> tuple[Reading, ...]:
    return tuple(Reading(symbol=symbol, source=exchange.name, flaw=flaw) for symbol in markets)


class _BinanceTicker(msgspec.Struct, rename="camel"):
    symbol: str
    bid_price: str
    ask_price: str
    close_time: int


class Binance:
    """`/api/v3/ticker/24hr`, because it tells the time of the last change: a halted market's stands still, and its
    sides fall to zero.
    """

    name = "binance"

    def __init__(self, http: ExchangeHttp) -> None:
        self._http = http

    def books(self, markets: Sequence[str]) -> Mapping[str, Book]:
        """One request for all of them."""
        names = json.dumps(list(markets), separators=(",", ":"))
        found = _decoded(self._http.get("/api/v3/ticker/24hr", symbols=names), list[_BinanceTicker])
        books = {
            one.symbol: Book(number(one.bid_price), number(one.ask_price), _moment(one.close_time)) for one in found
        }
        return _all_of(books, markets)


class _CoinbaseTicker(msgspec.Struct):
    bid: str
    ask: str
    time: datetime


class Coinbase:
    """`/products/<market>/ticker`; its time is the last trade's, so a market without trades goes stale."""

    name = "coinbase"

    def __init__(self, http: ExchangeHttp) -> None:
        self._http = http

    def books(self, markets: Sequence[str]) -> Mapping[str, Book]:
        """One request a market."""
        return {market: self._book(market) for market in markets}

    def _book(self, market: str) -> Book:
        found = _decoded(self._http.get(f"/products/{market}/ticker"), _CoinbaseTicker)
        if found.time.tzinfo is None:
            raise SourceAnswerInvalid("Coinbase wrote a time without its zone.")
        return Book(number(found.bid), number(found.ask), found.time.astimezone(UTC))


class _KrakenTicker(msgspec.Struct):
    a: list[str]
    b: list[str]


class _KrakenStatus(msgspec.Struct):
    status: str


class _Kraken(msgspec.Struct):
    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"null")


class Kraken:
    """`/0/public/Ticker`, which tells no time, and `SystemStatus`, which tells whether anything trades. A market is
    called as the answer calls it (`XXBTZUSD`).
    """

    name = "kraken"

    def __init__(self, http: ExchangeHttp) -> None:
        self._http = http

    def books(self, markets: Sequence[str]) -> Mapping[str, Book]:
        """Two requests, whatever the number of markets."""
        halted = self._result("/0/public/SystemStatus", _KrakenStatus).status != "online"
        found = self._result("/0/public/Ticker", dict[str, _KrakenTicker], pair=",".join(markets))
        if not all(one.a and one.b for one in found.values()):
            raise SourceAnswerInvalid("Kraken's ticker has no prices.")
        books = {name: Book(number(one.b[0]), number(one.a[0]), halted=halted) for name, one in found.items()}
        return _all_of(books, markets)

    def _result(self, path: str, kind: Any, **query: str) -> Any:
        """Kraken's errors come with a 200."""
        answer = _decoded(self._http.get(path, **query), _Kraken)
        if any(error.startswith(KRAKEN_LIMITS) for error in answer.error):
            raise self._http.limited()
        if any(error.startswith(KRAKEN_UNKNOWN) for error in answer.error):
            raise MarketUnknown
        if any(error.startswith("EService:") for error in answer.error):
            raise SourceUnavailable("Kraken is out of service.")
        if answer.error:
            raise SourceRefused("Kraken refused the request.")
        return _decoded(answer.result, kind)


def _decoded(body: bytes | msgspec.Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SourceAnswerInvalid("The exchange answered in another form than agreed.") from error


def _all_of(books: Mapping[str, Book], markets: Sequence[str]) -> Mapping[str, Book]:
    if missing := set(markets) - books.keys():
        raise SourceAnswerInvalid(f"The exchange left out {sorted(missing)}.")
    return books


def _moment(milliseconds: int) -> datetime:
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise SourceAnswerInvalid("The exchange's time is out of range.") from error
