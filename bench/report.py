"""A benchmark's answer: rows with or without a bar, as JSON or as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. With several runs, `ours` and `baseline` are medians, `ratio` the median of the pairs' ratios.

    `bar` is what `ratio` (or `ours`, where there is no baseline) has to reach; a `ceiling` is not to be passed instead.
    """

    metric: str
    ours: float
    baseline: float | None = None
    ratio: float | None = None
    bar: float | None = None
    ceiling: bool = False

    @property
    def ok(self) -> bool:
        """Whether the bar is kept; true without one."""
        if self.bar is None:
            return True
        judged = self.ours if self.ratio is None else self.ratio
        return judged <= self.bar if self.ceiling else judged >= self.bar

    def as_dict(self) -> dict[str, Any]:
        """The row as programs read it."""
        shown = {name: rounded(getattr(self, name)) for name in ("ours", "baseline", "ratio", "bar")}
        return {"metric": self.metric, **shown, "ok": self.ok}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `manage.py bench NAME --json` prints."""

    bench: str
    machine: Mapping[str, Any]
    runs: int
    rows: Sequence[Row] = field(default_factory=tuple)

    @property
    def ok(self) -> bool:
        """True when no row misses its bar."""
        return all(row.ok for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "bench": self.bench,
            "machine": dict(self.machine),
            "runs": self.runs,
            "rows": [row.as_dict() for row in self.rows],
        }

    def as_table(self) -> str:
        """For people: the machine's line, then a line a row."""
        machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.machine.items())
        lines = [f"{self.bench}: {self.runs} runs on {machine}", ""]
        width = max((len(row.metric) for row in self.rows), default=0)
        lines.append(f"{'':<{width}} {'ours':>10} {'baseline':>10} {'ratio':>7}  bar")
        for row in self.rows:
            cells = [figure(row.ours, 10), figure(row.baseline, 10), figure(row.ratio, 7)]
            lines.append(f"{row.metric:<{width}} {' '.join(cells)}  {judgement(row)}".rstrip())
        return "\n".join(lines)


def compared(
    metric: str, ours: Sequence[float], baseline: Sequence[float], *, bar: float | None = None, ceiling: bool = False
) -> Row:
    """Interleaved pairs: the n-th of ours was measured beside the n-th of the baseline."""
    ratio = median(own / other for own, other in zip(ours, baseline, strict=True))
    return Row(metric=metric, ours=median(ours), baseline=median(baseline), ratio=ratio, bar=bar, ceiling=ceiling)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (0.99: p99)."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def rounded(value: float | None) -> float | None:
    """Four significant digits: more would pretend."""
    return None if value is None else float(f"{value:.4g}")


def figure(value: float | None, width: int) -> str:
    """A number for the table."""
    return " " * width if value is None else f"{rounded(value):>{width},g}"


def judgement(row: Row) -> str:
    """The bar, and whether it is kept."""
    if row.bar is None:
        return ""
    return f"{'at most' if row.ceiling else 'at least'} {row.bar:g}: {'ok' if row.ok else 'MISSED'}"
