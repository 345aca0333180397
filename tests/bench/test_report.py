"""The benchmark's answer: its shape, its bars, its exit code."""

from __future__ import annotations

import json

import click
import pytest

from bench.report import Report, Row, compared, percentile
from bench.verb import bench, exit_code

MACHINE = {"cores": 2, "load_before": 0.1}


def report(*rows: Row) -> Report:
    """A report of these rows."""
    return Report(bench="queue", machine=MACHINE, runs=3, rows=rows)


def test_a_report_is_one_object() -> None:
    made = report(Row(metric="a", ours=123.456), compared("b", [8, 9, 30], [10, 10, 10], bar=0.8))
    assert json.loads(json.dumps(made.as_dict())) == {
        "bench": "queue",
        "machine": MACHINE,
        "runs": 3,
        "rows": [
            {"metric": "a", "ours": 123.5, "baseline": None, "ratio": None, "bar": None, "ok": True},
            {"metric": "b", "ours": 9.0, "baseline": 10.0, "ratio": 0.9, "bar": 0.8, "ok": True},
        ],
    }


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    # The machine was slow in the later runs, for both.
    assert compared("a", [90, 40, 60], [100, 50, 60]).ratio == 0.9


@pytest.mark.parametrize(
    ("row", "ok"),
    [
        (Row(metric="a", ours=1), True),
        (Row(metric="a", ours=80, baseline=100, ratio=0.8, bar=0.8), True),
        (Row(metric="a", ours=79, baseline=100, ratio=0.79, bar=0.8), False),
        (Row(metric="a", ours=5, bar=5, ceiling=True), True),
        (Row(metric="a", ours=5.1, bar=5, ceiling=True), False),
        (Row(metric="a", ours=4.9, bar=5), False),
    ],
)
def test_a_missed_bar_is_an_exit_code(row: Row, ok: bool) -> None:
    made = report(Row(metric="kept", ours=1), row)
    assert (row.ok, made.ok, exit_code(made)) == (ok, ok, 0 if ok else 1)
    assert ("MISSED" in made.as_table()) is not ok


def test_percentiles() -> None:
    values = list(range(1, 101))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99)) == (51, 100, 7)


def test_an_unknown_part_is_named(tmp_path: object) -> None:
    with pytest.raises(click.BadParameter, match="drian"):
        bench("queue", tmp_path, only=["drian"], runs=1, as_json=True, echo=str)  # type: ignore[arg-type]
