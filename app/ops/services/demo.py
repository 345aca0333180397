"""`make demo`: a stack of its own in `.run/demo`, with short intervals, and the play that ends it (contracts/demo/).

It begins with empty tables and an empty chain each time: what it counts is then this run's alone, a seed gives the
same positions, and no outage since the last run is caught up with. Neither the stack of `make up`, nor `.env`, nor a
DATABASE_URL that happens to be set can be touched by it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from app.ops.adapters.run_folder import RunFolder
from app.ops.services.environment import isolate
from app.ops.services.ports import inner_port
from app.ops.services.recovery import clean_up
from app.ops.services.reset import clear
from app.ops.services.stack import Plan, plan_stack
from app.ops.services.supervisor import Supervisor
from app.ops.types import Role, Stage
from config.settings import load_settings

QUICK = {
    "HTTP__WORKERS": "1",
    "CHAIN__CONFIRMATIONS": "1",
    "CHAIN__WATCH_SECONDS": "1",
    "PERPS__INDEX_SECONDS": "1",
    "PERPS__PRICE_SECONDS": "2",
    "PERPS__SCAN_SECONDS": "2",
    "PERPS__FUNDING_SECONDS": "10",
}
"""Short intervals, and one API process, which starts sooner than two. Everything else is as `make up` has it."""

INTERRUPTED = 130
"""What a shell says of a program that Ctrl-C ended."""


def demo(root: Path, outer: RunFolder, seed: int, report: Path, say: Callable[[str], None]) -> int:
    """Run the stack and the play on it, which writes `report`; returns the exit code, 0 when all agreed.

    Raises OpsError, one sentence with a way out, when the stack does not start.
    """
    outer.open()
    run = outer.demo()
    ports = {
        "HTTP__PORT": inner_port("demo's api"),
        "FLOWER__PORT": inner_port("demo's flower"),
        "STREAM__PORT": inner_port("demo's stream"),
    }
    isolate(QUICK | {name: str(port) for name, port in ports.items()})
    settings = load_settings(None)
    with run.lock():
        clean_up(run, say)
        clear(run)
        run.open()
        report.unlink(missing_ok=True)
        plan = plan_stack(settings, run)
        api = f"http://127.0.0.1:{settings.http.port}"
        roles = [*plan.roles, _play(plan, api, seed, report)]
        supervisor = Supervisor(roles, run, environment=plan.environment, root=root, say=say)
        code = supervisor.run(lambda: say(f"The stack is up: {api}/docs; logs: {run.logs}"))
    return INTERRUPTED if code is None else code


def _play(plan: Plan, api: str, seed: int, report: Path) -> Role:
    """The outside world, which knows addresses and DATABASE_URL; what it says is said to the person who waits."""
    addresses = {
        "--rpc": json.loads(plan.environment["CHAIN__RPC_URLS"])[0],
        "--prices": plan.environment["ORACLE__HERMES_URL"],
        "--api": api,
        "--deployment": plan.environment["CHAIN__DEPLOYMENT_FILE"],
        "--report": str(report),
        "--seed": str(seed),
    }
    options = [word for pair in addresses.items() for word in pair]
    return Role(
        name="play",
        command=(sys.executable, "-m", "contracts.demo", *options),
        stage=Stage.PLAY,
        log=None,
        errand=True,
        stop_seconds=3.0,
    )
