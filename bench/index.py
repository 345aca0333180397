"""`manage.py bench index`: the indexer beside the floor, on the same chain and Postgres, in the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.chain.maths.abi import compile_events
from bench.index_chain import BenchChain, chain_with, compiled
from bench.index_live import live
from bench.index_start import seconds_to_first_request
from bench.machine import describe
from bench.reorgs import reorgs
from bench.report import Report, Row, compared
from bench.stand import OURS, PLAIN, ROOT, Stand, standing

STARTS = 9
EVENTS, BLOCKS = 200_000, 4_000
PARTS = ("index", "live", "growth", "fold", "reorgs")
TABLES = (
    "chain_events, chain_headers, chain_cursors, chain_alarms, perps_markets, perps_positions, perps_folded_events,"
    " perps_funding_rates, perps_liquidations"
)


@dataclass(frozen=True)
class Took:
    """One process, from its start to its end."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str

    def less(self, empty: Took) -> Took:
        """Without what the same command takes on an empty range."""
        return Took(
            self.wall_seconds - empty.wall_seconds, self.cpu_seconds - empty.cpu_seconds, self.peak_mb, self.output
        )


def measure(run_folder: Path, *, only: Sequence[str], runs: int, progress: Callable[[str], None]) -> Report:
    """Generate the chain, then ours and the floor in turn, `runs` times."""
    load_before = os.getloadavg()[0]
    with standing(run_folder) as stand:
        machine = describe(stand, load_before)
        with chain_with(stand.folder, events=EVENTS, blocks=BLOCKS, progress=progress) as chain:
            rows = _rows(Sides(stand, chain), only or PARTS, runs, progress)
    return Report(bench="index", machine=machine, runs=runs, rows=rows)


class Sides:
    """The commands that are measured. Each begins with empty tables."""

    def __init__(self, stand: Stand, chain: BenchChain):
        self.stand, self.chain = stand, chain
        self.plain, self.folded = (chain.write_protocol(stand.folder, folds=folds) for folds in (False, True))
        (topic,) = [event.topic for event in compile_events(compiled()["abi"]) if event.name == "PositionOpened"]
        assert topic is not None
        self.topic = "0x" + topic.hex()

    def ours(self, *, folds: bool = False, last: int | None = None) -> Took:
        """`manage.py index` from nothing to `last`, or to the head."""
        self.empty()
        command = self.command(self.folded if folds else self.plain)
        took = run(
            [*command, *([] if last is None else ["--to", str(last)])], DATABASE_URL=self.stand.postgres.url(OURS)
        )
        expect(json.loads(took.output)["rows"], self.events(last) + (folds and last is None))
        return took

    def empty(self) -> None:
        """Ours begins with nothing."""
        self.stand.sql(OURS, f"TRUNCATE {TABLES} CASCADE")

    def command(self, file: Path) -> list[str]:
        """Ours, for a protocol file."""
        return [*self.verb(file), self.chain.node.url]

    def verb(self, file: Path) -> list[str]:
        """The same before its last argument, the node's URL."""
        return [sys.executable, "manage.py", "index", "--json", "--protocol", str(file), "--rpc"]

    def floor(self, *, last: int | None = None) -> Took:
        """The floor, over the same range."""
        self.stand.sql(PLAIN, "DROP TABLE IF EXISTS floor_events")
        values = [self.chain.node.url, self.stand.work_url(), self.chain.address, self.topic]
        values += [str(self.chain.first_block), str(self.chain.last_block if last is None else last)]
        took = run([sys.executable, "-m", "bench.baselines.index_floor", *values])
        expect(int(took.output), self.events(last))
        return took

    def events(self, last: int | None) -> int:
        """How many events lie up to `last`, or to the chain's end."""
        each = self.chain.events // (self.chain.last_block - self.chain.first_block)
        return self.chain.events if last is None else (last - self.chain.first_block) * each


def run(command: Sequence[str], **variables: str) -> Took:
    """Run to the end; raises RuntimeError when it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command lines
        command, cwd=ROOT, env=os.environ | {"ENV_FILE": ""} | variables, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[1:3]} ended with {process.returncode}")
    return Took(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def expect(found: int, wanted: int) -> None:
    """Raise RuntimeError unless all were read: a fast reader that lost some is not fast."""
    if found != wanted:
        raise RuntimeError(f"{found} rows instead of {wanted}")


def _starting(sides: Sides, empty: Sequence[Took]) -> list[Row]:
    """The quickest of several: what else runs on the machine can only add to it."""
    url = sides.stand.postgres.url(OURS)
    starts = [seconds_to_first_request(sides.verb(sides.plain), DATABASE_URL=url) for _ in range(STARTS)]
    return [
        Row(metric="start to the first request, s", ours=min(starts), bar=0.5, ceiling=True),
        Row(metric="start to end on an empty range, s", ours=min(took.wall_seconds for took in empty)),
    ]


def _rows(sides: Sides, parts: Sequence[str], runs: int, progress: Callable[[str], None]) -> list[Row]:
    first = sides.chain.first_block
    rows: list[Row] = []
    ours: list[Took] = []
    floor: list[Took] = []
    start: list[Took] = []
    for number in range(runs):
        progress(f"index: run {number + 1} of {runs}")
        start.append(sides.ours(last=first))
        ours.append(sides.ours().less(start[-1]))
        floor.append(sides.floor().less(sides.floor(last=first)))
    rows += _starting(sides, start)
    rows.append(
        compared(
            f"index {sides.chain.events} events, wall s, baseline: floor",
            [took.wall_seconds for took in ours],
            [took.wall_seconds for took in floor],
            bar=1.0,
            ceiling=True,
        )
    )
    rows.append(
        compared(
            "index, CPU s, baseline: floor",
            [took.cpu_seconds for took in ours],
            [took.cpu_seconds for took in floor],
            bar=1.5,
            ceiling=True,
        )
    )
    rows.append(Row(metric="index, peak MB", ours=max(took.peak_mb for took in ours), bar=200, ceiling=True))
    if "growth" in parts:
        half = sides.ours(last=(first + sides.chain.last_block) // 2)
        rows.append(
            compared(
                "index, peak MB, baseline: half the chain", [ours[-1].peak_mb], [half.peak_mb], bar=1.1, ceiling=True
            )
        )
    if "fold" in parts:
        folded = [sides.ours(folds=True).less(start[-1]) for _ in range(min(runs, 2))]
        apart = [took.wall_seconds - one.wall_seconds for took, one in zip(folded, ours, strict=False)]
        rows.append(Row(metric="folding the events into positions, wall s more", ours=min(apart)))
    if "live" in parts:  # among the last: it adds events
        progress("index: at the head")
        sides.ours()
        rows += live(sides.stand, sides.chain, sides.command(sides.plain))
    if "reorgs" in parts:  # the last: it changes the chain
        progress("index: reorgs")
        sides.empty()
        run(sides.command(sides.folded), DATABASE_URL=sides.stand.postgres.url(OURS))
        rows += reorgs(sides.stand, sides.chain, sides.command(sides.folded))
    return rows
