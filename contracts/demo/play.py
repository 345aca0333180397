"""The play: traders trade, a client submits jobs, prices move, and everything is waited for until it is in the tables.

It never touches the chain's clock and settles or liquidates nothing itself: that is the product's work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.demo import progress
from contracts.demo.api import Api, Refused
from contracts.demo.database import PROTOCOL, Database
from contracts.demo.plan import Fate, Order, Plan, moved
from contracts.demo.waiting import wait_until
from contracts.markets import WAD
from contracts.traders import Exchange, Trader

PURSE_WAD = 1_000_000 * WAD
PATIENCE_SECONDS = 120.0
SETTLEMENTS = 2
TERMINAL = ("succeeded", "failed", "cancelled", "expired")


@dataclass(frozen=True)
class Opened:
    """An order that was carried out."""

    order: Order
    position_id: int


@dataclass
class Play:
    """Who takes part. `submitted` are the client's jobs by id."""

    plan: Plan
    exchange: Exchange
    traders: Sequence[Trader]
    api: Api
    database: Database
    say: Callable[[str], None]
    opened: list[Opened] = field(default_factory=list)
    submitted: dict[str, str] = field(default_factory=dict)

    def trade(self) -> None:
        """Give every trader money, then open all the plan's positions."""
        self.exchange.mined([digest for trader in self.traders for digest in trader.fund(PURSE_WAD)])
        hashes = [
            self.traders[order.trader].open(
                order.symbol,
                is_long=order.is_long,
                leverage_wad=order.leverage_wad,
                collateral_wad=order.collateral_wad,
            )
            for order in self.plan.orders
        ]
        events = [event for event in self.exchange.mined(hashes) if event.name == "PositionOpened"]
        self.opened = [
            Opened(order, event.args["position_id"]) for order, event in zip(self.plan.orders, events, strict=True)
        ]
        self.say(f"{len(self.traders)} traders opened {len(self.opened)} positions")

    def sign_in(self, login: str, password: str) -> None:
        """Come in as a client, as soon as the API lets one in."""
        self._wait("the API", lambda: (int(self.api.is_ready()), 1))
        self.api.sign_in(login, password)
        self.say(f"signed in as {login}")

    def follow(self) -> None:
        """Wait until the indexer has every position and the oracle a price of every market."""
        self._wait("positions indexed", lambda: (progress.positions(self.database), len(self.opened)))
        self._wait("markets priced", lambda: (progress.priced_markets(self.database), len(self.plan.moves_bps)))
        self.say("the indexer has followed")

    def submit(self) -> None:
        """A client's own jobs, beside those of the schedule."""
        first, last = self.database.find_range()
        doomed = self._those(Fate.LIQUIDATED)[0]
        for kind, params in (
            ("oracle.refresh_prices", {}),
            ("chain.backfill", {"contract_set": PROTOCOL, "from_block": first, "to_block": last}),
            ("perps.check_health", {"protocol": PROTOCOL, "position": str(doomed.position_id)}),
        ):
            self.submitted[self.api.submit(kind, params)] = kind
        self.say(f"submitted {len(self.submitted)} jobs, each twice under one Idempotency-Key")

    def change(self) -> None:
        """Some put collateral in, some take it out, some close."""
        hashes = []
        for each in self.opened:
            order, trader = each.order, self.traders[each.order.trader]
            if order.fate in (Fate.ADDS, Fate.TAKES):
                delta = order.collateral_wad // 10 * (1 if order.fate is Fate.ADDS else -1)
                hashes.append(trader.change_collateral(order.symbol, each.position_id, delta))
            elif order.fate is Fate.CLOSES:
                hashes.append(trader.close(order.symbol, each.position_id, is_long=order.is_long))
        events = [event.name for event in self.exchange.mined(hashes)]
        closed, changed = events.count("PositionClosed"), events.count("CollateralChanged")
        self.say(f"{closed} positions closed, the collateral of {changed} changed")

    def move_prices(self) -> None:
        """Let every market's price jump, so that the risky positions are under water."""
        before = self.exchange.prices.order({symbol: {} for symbol in self.plan.moves_bps})
        after = {symbol: moved(before[symbol], move) for symbol, move in self.plan.moves_bps.items()}
        self.exchange.prices.order({symbol: {"price": str(price)} for symbol, price in after.items()})
        moves = ", ".join(f"{symbol} {move / 100:+.0f} %" for symbol, move in self.plan.moves_bps.items())
        self.say(f"prices move: {moves}; {len(self._those(Fate.LIQUIDATED))} positions are under water")

    def await_the_keeper(self) -> None:
        """Wait until every unhealthy position was liquidated by the keeper, and funding was settled again and again."""
        database = self.database
        doomed = {str(each.position_id) for each in self._those(Fate.LIQUIDATED)}
        closed = len(self._those(Fate.CLOSES))
        settled = SETTLEMENTS * len(self.plan.moves_bps)
        self._wait("liquidations by the keeper", lambda: (len(doomed & progress.liquidated(database)), len(doomed)))
        self._wait("closed positions indexed", lambda: (progress.closed(database), closed))
        self._wait("settlements by the keeper", lambda: (progress.settlements(database, SETTLEMENTS), settled))
        others = progress.liquidated(database) - doomed
        if others:
            raise Refused(f"healthy positions were liquidated: {', '.join(sorted(others))}")
        self.say("the keeper has liquidated what was unhealthy, and funding has settled twice in every market")

    def await_own_jobs(self) -> list[dict[str, Any]]:
        """Poll the client's jobs to their ends, and return them."""
        found: dict[str, dict[str, Any]] = {}

        def look() -> tuple[int, int]:
            for job_id in self.submitted.keys() - found.keys():
                job = self.api.job(job_id)
                if job["status"] in TERMINAL:
                    found[job_id] = job
            return len(found), len(self.submitted)

        self._wait("the client's jobs", look)
        return [found[job_id] for job_id in self.submitted]

    def _those(self, fate: Fate) -> list[Opened]:
        return [each for each in self.opened if each.order.fate is fate]

    def _wait(self, what: str, look: Callable[[], tuple[int, int]]) -> None:
        wait_until(what, look, self.say, PATIENCE_SECONDS)
