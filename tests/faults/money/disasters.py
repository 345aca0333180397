"""What befalls the world around the sender: servers and the chain, one at a time or all in a storm."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from random import Random

from tests.faults.money.ground import Ground, Order
from tests.faults.money.node import CONFIRMATIONS
from tests.faults.money.strikes import Strike

Disaster = Callable[[Ground, Random], None]


def freeze_node(place: Ground, rng: Random) -> None:
    """The node takes connections and does not answer, for longer than anybody waits."""
    with place.chain.frozen():
        time.sleep(rng.uniform(2.2, 3.5))


def reorg(place: Ground, rng: Random) -> None:
    """The newest blocks are replaced."""
    place.chain.reorg(rng.randint(1, CONFIRMATIONS))


def roll_back(place: Ground, rng: Random) -> None:
    """The newest blocks are gone."""
    place.chain.roll_back(rng.randint(1, CONFIRMATIONS))


def raise_base_fee(place: Ground, rng: Random) -> None:
    """What is in the pool is suddenly too cheap."""
    place.chain.raise_base_fee(rng.randint(20, 60))


DISASTERS: Mapping[str, Disaster] = {
    "FLUSHALL of the broker": lambda place, _: place.flush(),
    "Postgres crashes": lambda place, _: place.crash_postgres(),
    "node killed, its pool lost": lambda place, _: place.chain.restart(),
    "node's pool dropped": lambda place, _: place.chain.drop_pool(),
    "node frozen": freeze_node,
    "blocks replaced": reorg,
    "blocks rolled back": roll_back,
    "base fee leaps": raise_base_fee,
    "both workers killed": lambda place, _: place.kill("one", "two"),
    "dispatcher and beat killed": lambda place, _: place.kill("dispatcher", "beat"),
}


def storm(place: Ground, rng: Random, seconds: float) -> list[Order]:
    """Payments of all sizes, and disasters between them; some meet a strike of their own, some are soon unwanted."""
    orders: list[Order] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        orders += place.pay(
            rng.randint(1, 3),
            each=rng.randint(1, 4),
            strikes=[_strike(rng)] * (rng.random() < 0.5),
            persistent=rng.random() < 0.5,
            expires_in_seconds=rng.choice((None, None, None, 2)),
        )
        place.wait_a_while(rng.uniform(0.1, 0.6))
        if rng.random() < 0.3:
            place.kill_child(rng)
        else:
            rng.choice(list(DISASTERS.values()))(place, rng)
    return orders


def _strike(rng: Random) -> Strike:
    action = rng.choice(("kill", "kill_worker", "stop"))
    return Strike(rng.choice(("sql.before", "sql.after")), rng.randint(1, 40), action)
