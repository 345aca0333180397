"""The role's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.streaming.errors import StreamError

LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 5, 30)


class Gauges:
    """Subscribers, events, what ended streams, and how old an event is when it is handed out."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        self._subscribers = Gauge(
            "watchkeeper_stream_subscribers", "Open streams", ("transport",), registry=self._registry
        )
        self._events = Counter("watchkeeper_stream_events", "Events of the stream", registry=self._registry)
        self._sent = Counter("watchkeeper_stream_offered", "Events handed to connections", registry=self._registry)
        self._ends = Counter(
            "watchkeeper_stream_ends", "Streams ended, by code; empty: the client left", ("code",),
            registry=self._registry,
        )  # fmt: skip
        self._lag = Histogram(
            "watchkeeper_stream_lag_seconds",
            "From the change's transaction to the connections' queues",
            buckets=LAG_SECONDS,
            registry=self._registry,
        )

    def opened(self, transport: str) -> None:
        """A stream was opened."""
        self._subscribers.labels(transport).inc()

    def closed(self, transport: str, error: StreamError | None) -> None:
        """A stream has ended."""
        self._subscribers.labels(transport).dec()
        self._ends.labels(error.code if error else "").inc()

    def handed_out(self, at: str, readers: int) -> None:
        """An event of that time went to so many."""
        self._events.inc()
        self._sent.inc(readers)
        self._lag.observe(max(0.0, (self._clock() - datetime.fromisoformat(at)).total_seconds()))

    def exposition(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self._registry)
