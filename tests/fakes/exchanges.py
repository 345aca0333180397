"""Binance, Coinbase Exchange and Kraken on a real socket: their routes, shapes and error bodies, and faults on order.

`tickers` holds an exchange's own ticker objects by market: the recorded ones, or ones made by `binance_ticker` and its
like. Both pass one contract test (`tests/oracle/test_exchanges.py`).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Fault = Callable[["Handler"], None]
Ticker = dict[str, Any]


class FakeExchange(ThreadingHTTPServer):
    """Serves one exchange; `faults` are used up first, one a request, and `requests` remembers what came."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, kind: str, tickers: Mapping[str, Ticker]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kind = kind
        self.tickers = dict(tickers)
        self.status = "online"
        self.faults: deque[Fault] = deque()
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        """Status and body, as the exchange would say it."""
        return {"binance": self._binance, "coinbase": self._coinbase, "kraken": self._kraken}[self.kind](path, query)

    def _binance(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        assert path == "/api/v3/ticker/24hr", path
        names = json.loads(query["symbols"])
        if any(name not in self.tickers for name in names):
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        return 200, [self.tickers[name] for name in names]

    def _coinbase(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        _, products, name, last = path.split("/")
        assert (products, last) == ("products", "ticker"), path
        if name not in self.tickers:
            return 404, {"message": "NotFound"}
        return 200, self.tickers[name]

    def _kraken(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        if path == "/0/public/SystemStatus":
            return 200, {"error": [], "result": {"status": self.status, "timestamp": "2027-01-15T08:00:00Z"}}
        assert path == "/0/public/Ticker", path
        names = query["pair"].split(",")
        if any(name not in self.tickers for name in names):
            return 200, {"error": ["EQuery:Unknown asset pair"]}
        return 200, {"error": [], "result": {name: self.tickers[name] for name in names}}


class Handler(BaseHTTPRequestHandler):
    """One request: a fault if one is waiting, else what the exchange would say."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeExchange

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.requests.append(parts.path)
        if self.server.faults:
            self.server.faults.popleft()(self)
            return
        status, body = self.server.answer(parts.path, dict(parse_qsl(parts.query)))
        self.reply(status, json.dumps(body).encode())

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A whole answer, unless `headers` claim another length."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def said(status: int, body: Any = None, **headers: str) -> Fault:
    """Answer so instead; `Retry_After="7"` becomes the header `Retry-After`."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler: handler.reply(status, text, {name.replace("_", "-"): one for name, one in headers.items()})


def hang_up(handler: Handler) -> None:
    """Close without a word."""
    handler.close_connection = True


def binance_ticker(market: str, bid: str, ask: str, at: datetime) -> Ticker:
    """As `/api/v3/ticker/24hr` has it; what we do not read is left out."""
    return {"symbol": market, "bidPrice": bid, "askPrice": ask, "closeTime": int(at.timestamp() * 1000)}


def coinbase_ticker(market: str, bid: str, ask: str, at: datetime) -> Ticker:
    """As `/products/<market>/ticker` has it."""
    return {"bid": bid, "ask": ask, "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}


def kraken_ticker(market: str, bid: str, ask: str, at: datetime) -> Ticker:
    """As `/0/public/Ticker` has it; no time is told."""
    return {"a": [ask, "1", "1.000"], "b": [bid, "1", "1.000"], "c": [ask, "0.1"]}


MAKERS = {"binance": binance_ticker, "coinbase": coinbase_ticker, "kraken": kraken_ticker}
