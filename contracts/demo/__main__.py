"""The play's command line; `manage.py demo` starts it beside a stack.

    python -m contracts.demo --rpc URL --prices URL --api URL --deployment FILE --report FILE [--seed 1]

DATABASE_URL is read from the environment. Exit code 0 when the contract and the database agree and no job failed.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import psycopg2
import requests

from contracts.demo.agreement import NothingToCompare, compare
from contracts.demo.api import Api, Refused
from contracts.demo.database import PROTOCOL, Database
from contracts.demo.plan import make_plan
from contracts.demo.play import Play, WrongOutcome
from contracts.demo.report import Report, report_of
from contracts.demo.trading import Trading
from contracts.demo.waiting import NeverCame
from contracts.deployment import Deployment
from contracts.markets import MINOR, PARAMETERS
from contracts.node import Node, NodeRefused
from contracts.prices import Prices
from contracts.traders import Exchange, TradeFailed, traders

TRADERS = 8
LOGIN = "demo"
SCOPES = ("jobs:read", "jobs:write", "oracle:write", "chain:write", "perps:write")
EXPECTED = (
    *(TradeFailed, NodeRefused, Refused, NeverCame, WrongOutcome, NothingToCompare),
    *(requests.RequestException, psycopg2.Error),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, compare, write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("rpc", "prices", "api"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("deployment", "report"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        report = perform(options)
    except EXPECTED as error:
        sys.stderr.write(f"The demo failed: {error}\n")
        return 1
    options.report.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if report["ok"] else 1


def perform(options: argparse.Namespace) -> Report:
    """The play from beginning to end."""
    user = _Operator()
    exchange = Exchange.at(Node(options.rpc), Prices(options.prices), Deployment.read(options.deployment))
    minors = tuple(symbol for symbol, parameters in PARAMETERS.items() if parameters is MINOR)
    majors = tuple(symbol for symbol in PARAMETERS if symbol not in minors)
    plan = make_plan(options.seed, traders=TRADERS, majors=majors, minors=minors)
    database = Database(os.environ["DATABASE_URL"])
    play = Play(Trading(plan, exchange, traders(exchange, TRADERS)), Api(options.api), database, _say)
    play.trade()
    user.wait()
    play.sign_in(LOGIN, user.password)
    play.follow()
    play.submit()
    play.change()
    play.move_prices()
    play.await_the_keeper()
    client_jobs = play.await_own_jobs()
    agreement = compare(exchange, database)
    return report_of(database, agreement, client_jobs, _replayed(database), options.seed)


def _replayed(database: Database) -> Report:
    """What `manage.py replay` says of every block that was indexed; raises Refused with its sentence."""
    first, last = (str(block) for block in database.find_range())
    chosen = ("--protocol", PROTOCOL, "--from", first, "--to", last, "--json")
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "manage.py", "replay", *chosen], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Refused(f"manage.py replay: {done.stderr.strip()}")
    found: Report = json.loads(done.stdout)
    return found


class _Operator:
    """Makes the demo's user as an operator would, by `manage.py user`, while the traders trade."""

    def __init__(self) -> None:
        self.password = secrets.token_urlsafe(24)
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        self._making = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "manage.py", "user", "create", LOGIN, *scopes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> None:
        """Until the user is there; raises Refused with what the command said."""
        said, _ = self._making.communicate(self.password + "\n")
        if self._making.returncode != 0:
            raise Refused(said.strip())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main())
