"""`manage.py bench peers`: the indexer beside web3-ethereum-defi and Ponder, on the same chain, node and Postgres."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

from app.ops.adapters import probes
from app.ops.adapters.embedded_anvil import npm_command
from app.ops.adapters.process import ServerProcess, free_port
from bench.index import BLOCKS, EVENTS, Sides, expect, run
from bench.index_chain import CHAIN_ID, chain_with
from bench.machine import describe
from bench.report import Report, Row, compared
from bench.stand import PLAIN, ROOT, standing

PARTS = ("w3de", "ponder")
W3DE = ("web3-ethereum-defi==1.2", "psycopg2-binary==2.9.13")
BASELINES = ROOT / "bench" / "baselines"
PONDER_DATABASE = "ponder"
PONDER_SECONDS = 600.0


def measure(run_folder: Path, *, only: Sequence[str], runs: int, progress: Callable[[str], None]) -> Report:
    """Install the peers under `run_folder/peers` if they are not there, generate the chain, and measure in turn."""
    load_before = os.getloadavg()[0]
    parts = only or PARTS
    peers = run_folder / "peers"
    with standing(run_folder) as stand:
        machine = describe(stand, load_before)
        with chain_with(stand.folder, events=EVENTS, blocks=BLOCKS, progress=progress) as chain:
            sides = Sides(stand, chain)
            rows: list[Row] = []
            if "w3de" in parts:
                for way, bar in (("values", 0.35), ("copy", None)):
                    reader = Reader(sides, peers / "w3de", way)
                    rows.append(_beside(f"web3-ethereum-defi, {way}", reader, sides, runs, progress, bar))
            if "ponder" in parts:  # minutes a run: once
                rows.append(_beside("Ponder, cold", Ponder(sides, peers / "ponder"), sides, 1, progress, 0.05))
    return Report(bench="peers", machine=machine, runs=runs, rows=rows)


def _beside(
    name: str,
    peer: Reader | Ponder,
    sides: Sides,
    runs: int,
    progress: Callable[[str], None],
    bar: float | None,
) -> Row:
    """Pairs of whole runs, each less the same on an empty range."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(runs):
        progress(f"{name}: run {number + 1} of {runs}")
        ours.append(sides.ours().less(sides.ours(last=sides.chain.first_block)).wall_seconds)
        theirs.append(peer.index(sides.chain.last_block) - peer.index(sides.chain.first_block))
    metric = f"index {sides.chain.events} events, wall s, baseline: {name}"
    return compared(metric, ours, theirs, bar=bar, ceiling=True)


class Reader:
    """web3-ethereum-defi's reader, in a virtual environment of its own; writes by `values` or `copy`."""

    def __init__(self, sides: Sides, folder: Path, way: str):
        self.sides, self.python, self.way = sides, folder / "bin" / "python", way
        if not self.python.exists():
            venv.create(folder, with_pip=True)
            _install([str(self.python), "-m", "pip", "install", "--quiet", *W3DE])

    def index(self, last: int) -> float:
        """The wall seconds of a process that reads up to `last`."""
        stand, chain = self.sides.stand, self.sides.chain
        stand.sql(PLAIN, "DROP TABLE IF EXISTS w3de_events")
        values = [self.way, chain.node.url, stand.work_url(), str(stand.folder / "venue.json"), chain.address]
        script = str(BASELINES / "w3de_reader.py")
        took = run([str(self.python), script, *values, str(chain.first_block), str(last)])
        expect(int(took.output), self.sides.events(last))
        return took.wall_seconds


class Ponder:
    """Ponder with an empty database each time, so with nothing cached."""

    def __init__(self, sides: Sides, folder: Path):
        self.sides, self.folder = sides, folder
        shutil.copytree(BASELINES / "ponder", folder, dirs_exist_ok=True)
        self.node = npm_command()[0]
        if not (folder / "node_modules").exists():
            options = ("install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-save")
            path = f"{Path(self.node).parent}{os.pathsep}{os.environ.get('PATH', '')}"
            _install(npm_command(*options), PATH=path)

    def index(self, last: int) -> float:
        """The seconds from the process's start until it says that its history is in, and all rows are: what is not
        final by its own reckoning comes after.
        """
        stand, chain = self.sides.stand, self.sides.chain
        url = stand.empty_database(PONDER_DATABASE)
        port = free_port()
        script = self.folder / "node_modules" / "ponder" / "dist" / "esm" / "bin" / "ponder.js"
        command = [self.node, str(script), "start", "--schema", "bench", "--port", str(port), "--hostname", "127.0.0.1"]
        variables = {
            "DATABASE_URL": url,
            "BENCH_RPC": chain.node.url,
            "BENCH_CHAIN_ID": str(CHAIN_ID),
            "BENCH_ABI": str(stand.folder / "venue.json"),
            "BENCH_ADDRESS": chain.address,
            "BENCH_FIRST": str(chain.first_block),
            "BENCH_LAST": str(last),
            "PONDER_TELEMETRY_DISABLED": "true",
        }
        process = ServerProcess("ponder", command, stand.folder / "ponder.log")
        began = time.perf_counter()
        process.start(environment=os.environ | variables, cwd=self.folder)
        stand.processes.append(process)
        process.wait_ready(
            lambda: (
                probes.http_answers(f"http://127.0.0.1:{port}/ready")
                and stand.count(PONDER_DATABASE, "bench.opened") >= self.sides.events(last)
            ),
            PONDER_SECONDS,
        )
        seconds = time.perf_counter() - began
        stand.end(process)
        expect(stand.count(PONDER_DATABASE, "bench.opened"), self.sides.events(last))
        return seconds


def _install(command: Sequence[str], **variables: str) -> None:
    sys.stderr.write(f"installing: {' '.join(command[:6])} ...\n")
    subprocess.run(command, check=True, env=os.environ | variables, stdout=subprocess.DEVNULL)  # noqa: S603
