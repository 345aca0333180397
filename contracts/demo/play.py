"""The play: traders trade, a client submits jobs, prices move, and everything is waited for until it is in the tables.

It never touches the chain's clock and settles or liquidates nothing itself: that is the product's work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from contracts.demo import progress
from contracts.demo.api import Api
from contracts.demo.database import PROTOCOL, Database
from contracts.demo.plan import Fate
from contracts.demo.trading import Trading
from contracts.demo.waiting import ASK_SECONDS, LOOK_SECONDS, wait_until

PATIENCE_SECONDS = 120.0
SLOTS = 2


class WrongOutcome(RuntimeError):
    """The product did what it must not do."""


@dataclass
class Play:
    """What the client has submitted is kept in `submitted`, kinds by job id."""

    trading: Trading
    api: Api
    database: Database
    say: Callable[[str], None]
    submitted: dict[str, str] = field(default_factory=dict)

    def trade(self) -> None:
        """Open all positions and place the orders; the product may not even run yet."""
        self.trading.open()
        self.trading.place_orders()
        opened, placed = len(self.trading.opened), len(self.trading.placed)
        self.say(f"{len(self.trading.traders)} traders opened {opened} positions and placed {placed} orders")

    def sign_in(self, login: str, password: str) -> None:
        """Come in as a client, as soon as the API lets one in."""
        self._wait("the API", lambda: (int(self.api.is_ready()), 1), every_seconds=ASK_SECONDS / 2)
        self.api.sign_in(login, password)
        self.say(f"signed in as {login}")

    def follow(self) -> None:
        """Wait until the indexer has every position and the oracle a price of every market."""
        markets = len(self.trading.plan.moves_bps)
        self._wait("positions indexed", lambda: (progress.positions(self.database), len(self.trading.opened)))
        self._wait("markets priced", lambda: (progress.priced_markets(self.database), markets))
        self.say("the indexer has followed, and every market has a price")

    def submit(self) -> None:
        """A client's own jobs, beside those of the schedule."""
        first, last = self.database.find_range()
        for kind, params in (
            ("oracle.refresh_prices", {}),
            ("chain.backfill", {"contract_set": PROTOCOL, "from_block": first, "to_block": (first + last) // 2}),
            ("perps.check_health", {"protocol": PROTOCOL, "position": min(self._doomed())}),
            ("perps.check_health", {"account": self.trading.traders[0].address}),
            ("perps.settle_funding", {"protocol": PROTOCOL, "market": "1"}),
        ):
            self.submitted[self.api.submit(kind, params)] = kind
        self.say(f"submitted {len(self.submitted)} jobs, each twice under one Idempotency-Key")

    def change(self) -> None:
        """Some change their collateral, some close."""
        self.trading.change()
        changed = self.trading.position_ids(Fate.ADDS, Fate.TAKES)
        closed = self.trading.position_ids(Fate.CLOSES)
        self.say(f"{len(closed)} positions closed, the collateral of {len(changed)} changed")

    def move_prices(self) -> None:
        """The market turns against the risky positions."""
        self.trading.move_prices()
        moves = ", ".join(f"{symbol} {move / 100:+.0f} %" for symbol, move in self.trading.plan.moves_bps.items())
        self.say(f"prices move: {moves}; {len(self._doomed())} positions are under water")

    def await_the_keeper(self) -> None:
        """Wait until the keeper has liquidated every unhealthy position, executed every order whose price has come, and
        settled funding again and again.

        Raises WrongOutcome when it liquidated a healthy one.
        """
        database, doomed = self.database, self._doomed()
        closed, orders = len(self.trading.position_ids(Fate.CLOSES, Fate.GAINS)), len(self.trading.placed)
        markets = len(self.trading.plan.moves_bps)
        self._wait("orders executed by the keeper", lambda: (progress.executed(database), orders))
        self._wait("liquidations by the keeper", lambda: (len(doomed & progress.liquidated(database)), len(doomed)))
        self._wait("closed positions indexed", lambda: (progress.closed(database), closed))
        self._wait("settlements by the keeper", lambda: (progress.settled_markets(database), markets))
        self._wait("funding slots seen to", lambda: (progress.slots(database, SLOTS), SLOTS * markets))
        others = progress.liquidated(database) - doomed
        if others:
            raise WrongOutcome(f"healthy positions were liquidated: {', '.join(sorted(others))}")
        self.say("the keeper has liquidated what was unhealthy, executed the orders, and seen to funding twice")

    def await_own_jobs(self) -> list[dict[str, Any]]:
        """Poll the client's jobs to their ends, and return them."""
        ended: dict[str, dict[str, Any]] = {}

        def look() -> tuple[int, int]:
            ended.update({job["id"]: job for job in self.api.jobs() if job["done"]})
            return len(ended.keys() & self.submitted.keys()), len(self.submitted)

        self._wait("the client's jobs", look, every_seconds=ASK_SECONDS)
        return [ended[job_id] for job_id in self.submitted]

    def _doomed(self) -> set[str]:
        return {str(position_id) for position_id in self.trading.position_ids(Fate.LIQUIDATED)}

    def _wait(self, what: str, look: Callable[[], tuple[int, int]], *, every_seconds: float = LOOK_SECONDS) -> None:
        wait_until(what, look, self.say, seconds=PATIENCE_SECONDS, every_seconds=every_seconds)
