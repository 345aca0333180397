"""Prometheus metrics of one app: its registry, the requests' counter and latency, and gauges read from the database.

`exposition()` is what /metrics answers. Where several processes serve one port, PROMETHEUS_MULTIPROC_DIR names an empty
directory that they share, and the counters are summed over it; otherwise the app's own registry speaks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.orm import Session

REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True)
class SqlGauge:
    """A gauge whose values are read when /metrics is asked: one statement giving the label columns, then the value."""

    name: str
    documentation: str
    statement: str
    labels: tuple[str, ...] = ()

    def read(self, session: Session) -> Metric:
        """The gauge's present values."""
        family = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for *labels, value in session.execute(text(self.statement)):
            family.add_metric([str(label) for label in labels], float(value))
        return family


class Metrics:
    """One app's metrics; built by the factory."""

    def __init__(self, gauges: Iterable[SqlGauge] = ()) -> None:
        self.registry = CollectorRegistry()
        self.gauges = tuple(gauges)
        self.requests = Counter(
            "http_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "http_request_seconds",
            "Time to answer",
            ("method", "route"),
            buckets=REQUEST_SECONDS,
            registry=self.registry,
        )

    def exposition(self, session: Session) -> bytes:
        """Everything in the Prometheus text format; raises what the database raises."""
        combined = CollectorRegistry()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            MultiProcessCollector(combined)  # type: ignore[no-untyped-call]
        else:
            combined.register(self.registry)
        combined.register(_Read([gauge.read(session) for gauge in self.gauges]))
        return generate_latest(combined)


class _Read(Collector):
    """Values already read, so that the database is asked once and its errors reach the route."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self._families
