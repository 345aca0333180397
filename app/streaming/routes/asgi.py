"""The `stream` role as an ASGI app: `/v1/stream` by SSE and WebSocket, `/health/live`, `/health/ready`, `/metrics`.

The server frames, pings and holds back a writer whose reader does not read; here is who may come in, and what is said.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from app.core.errors import AppError, MethodNotAllowed, Unauthenticated
from app.core.logging import get_logger
from app.streaming.adapters.events import EventSource
from app.streaming.adapters.standing import StandingReader
from app.streaming.errors import MessageRefused, PathUnknown, StreamError, TicketRefused
from app.streaming.maths.wire import as_sse, as_websocket, parse_resume, sse_close
from app.streaming.services.connection import Connection
from app.streaming.services.following import follow
from app.streaming.services.gauges import Gauges
from app.streaming.services.hub import Hub
from app.streaming.services.watching import redeem
from app.streaming.types import Message

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = Mapping[str, str]

STREAM_PATH = "/v1/stream"
PREFLIGHT = [("Access-Control-Allow-Headers", "Authorization, Last-Event-ID"), ("Access-Control-Max-Age", "600")]
log = get_logger(__name__)


@dataclass(frozen=True)
class StreamApp:
    """One process's app; a test or `tasks/stream.py` puts it together."""

    hub: Hub
    source: EventSource
    standings: StandingReader
    gauges: Gauges
    clock: Callable[[], datetime]
    queue_events: int
    max_message_bytes: int
    close_seconds: float
    cors_origins: tuple[str, ...] = ()
    metrics_token: str | None = field(default=None, repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one connection."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "websocket":
            await self._websocket(scope, headers, receive, send)
            return
        try:
            await self._http(scope, headers, receive, send)
        except AppError as error:
            await _answer(send, error.status, "application/problem+json", _problem(error), self._cors(headers))

    async def _http(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == STREAM_PATH and method == "OPTIONS":
            await _answer(send, 204, "text/plain", b"", [*self._cors(headers), *PREFLIGHT])
            return
        if path not in (STREAM_PATH, "/health/live", "/health/ready", "/metrics"):
            raise PathUnknown()
        if method != "GET":
            raise MethodNotAllowed()
        if path == STREAM_PATH:
            await self._sse(scope, headers, receive, send)
        elif path == "/metrics":
            self._check_metrics_token(headers)
            await _answer(send, 200, "text/plain; version=0.0.4; charset=utf-8", self.gauges.exposition())
        else:
            await self._health(path, send)

    async def _health(self, path: str, send: Send) -> None:
        ready = path == "/health/live" or (self.hub.is_live and not self.hub.is_closing)
        body = json.dumps({"status": "ok" if ready else "not ready", "subscribers": len(self.hub.connections)})
        await _answer(send, 200 if ready else 503, "application/json", body.encode())

    def _check_metrics_token(self, headers: Headers) -> None:
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if not self.metrics_token or not hmac.compare_digest(given.encode(), self.metrics_token.encode()):
            raise Unauthenticated("Send the metrics token as a bearer token.")

    def _cors(self, headers: Headers) -> list[tuple[str, str]]:
        origin = headers.get("origin")
        allowed = origin is not None and (origin in self.cors_origins or "*" in self.cors_origins)
        return [("Access-Control-Allow-Origin", origin or ""), ("Vary", "Origin")] if allowed else []

    async def _admit(self, scope: Scope, headers: Headers, transport: str) -> tuple[Connection, int | None]:
        """The connection of a good ticket, in the hub; raises what refuses it.

        The ticket is used up once nothing else is wrong but, perhaps, how many streams its principal has.
        """
        query = parse_qs(scope["query_string"].decode("latin-1"))
        resume = parse_resume(headers.get("last-event-id") or query.get("resume", [None])[0])
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        word = query.get("ticket", [""])[0] or (bearer if scheme.lower() == "bearer" else "")
        if not word:
            raise TicketRefused("Get a ticket: POST /v1/stream-tickets of the API.")
        self.hub.check_room()
        connection = Connection(await redeem(self.standings, word, self.clock), transport, self.queue_events)
        self.hub.enter(connection)
        return connection, resume

    async def _sse(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        connection, resume = await self._admit(scope, headers, "sse")

        async def say(message: Message) -> None:
            await send({"type": "http.response.body", "body": as_sse(message), "more_body": True})

        async def close(error: StreamError) -> None:
            await send({"type": "http.response.body", "body": sse_close(error), "more_body": False})

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        kept = [("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"), *self._cors(headers)]
        try:
            await _start(send, 200, "text/event-stream; charset=utf-8", kept)
            await self._serve(connection, resume, say, close, listen())
        finally:
            self.hub.leave(connection)

    async def _websocket(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect

        async def close(error: StreamError) -> None:
            await send({"type": "websocket.close", "code": error.close_code, "reason": error.code})

        async def say(message: Message) -> None:
            await send({"type": "websocket.send", "text": as_websocket(message)})

        try:
            if scope["path"] != STREAM_PATH:
                raise PathUnknown()
            connection, resume = await self._admit(scope, headers, "websocket")
        except StreamError as error:
            # A browser is told the code of a close, and nothing of an upgrade that was refused.
            await send({"type": "websocket.accept"})
            await close(error)
            return
        try:
            await send({"type": "websocket.accept"})
            await self._serve(connection, resume, say, close, self._listen(connection, receive, send))
        finally:
            self.hub.leave(connection)

    async def _listen(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Answer pings until the client leaves, or says what it may not."""
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is None or len(text.encode()) > self.max_message_bytes:
                connection.end(MessageRefused())
                return
            try:
                asked = json.loads(text)
            except ValueError:
                asked = None
            if not isinstance(asked, dict) or asked.keys() != {"ping"}:
                connection.end(MessageRefused())
                return
            await send({"type": "websocket.send", "text": json.dumps({"type": "pong", "pong": asked["ping"]})})

    async def _serve(
        self,
        connection: Connection,
        resume: int | None,
        say: Callable[[Message], Awaitable[None]],
        close: Callable[[StreamError], Awaitable[None]],
        listen: Coroutine[Any, Any, None],
    ) -> None:
        """Speak until the client leaves or the connection is ended; then say why, for as long as we are willing."""

        async def pump() -> None:
            async for message in follow(self.hub, self.source, connection, resume):
                await say(message)

        pumping, listening = asyncio.create_task(pump()), asyncio.create_task(listen)
        ending = asyncio.create_task(connection.ended())
        try:
            await asyncio.wait({pumping, listening, ending}, return_when=asyncio.FIRST_COMPLETED)
            if pumping.done() and connection.ending is None:
                log.error("stream_failed", exc_info=pumping.exception())
                connection.end(StreamError())
            if connection.ending is not None:
                async with asyncio.timeout(self.close_seconds):
                    await asyncio.wait({pumping})  # what is being written is written whole
                    listening.cancel()  # the server does not close a WebSocket that is being listened to
                    await asyncio.wait({listening})
                    await close(connection.ending)
        except TimeoutError:
            log.info("stream_abandoned", transport=connection.transport)
        finally:
            connection.hang_up()  # a library may swallow a cancellation; what then goes on ends by itself
            for task in (pumping, listening, ending):
                task.cancel()
            await asyncio.wait({pumping, listening, ending}, timeout=self.close_seconds)
            if not pumping.done():
                log.warning("stream_lingers", transport=connection.transport)
            elif not pumping.cancelled():
                pumping.exception()  # looked at above where it mattered


async def _start(send: Send, status: int, content_type: str, headers: list[tuple[str, str]]) -> None:
    listed = [("Content-Type", content_type), ("X-Content-Type-Options", "nosniff"), *headers]
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in listed]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def _answer(
    send: Send, status: int, content_type: str, body: bytes, headers: list[tuple[str, str]] | None = None
) -> None:
    extra = [("WWW-Authenticate", "Bearer")] if status == 401 else []
    await _start(send, status, content_type, [*extra, *(headers or [])])
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _problem(error: AppError) -> bytes:
    """The problem as the API would say it."""
    named = {"type": f"urn:watchkeeper:problem:{error.code}", "title": type(error).default_detail()}
    return json.dumps(error.as_dict() | named | {"status": error.status}).encode()
