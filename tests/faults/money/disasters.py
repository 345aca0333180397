"""What befalls the world around the sender: servers and the chain, one at a time or all in a storm."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from random import Random

from tests.faults.deaths import Death
from tests.faults.money.bank import WORKERS, Bank, Order
from tests.faults.money.chain import CONFIRMATIONS

Disaster = Callable[[Bank, Random], None]


def freeze_node(bank: Bank, rng: Random) -> None:
    """The node takes connections and does not answer, for longer than anybody waits."""
    with bank.chain.frozen():
        time.sleep(rng.uniform(2.2, 3.5))


def reorg(bank: Bank, rng: Random) -> None:
    """The newest blocks are replaced."""
    bank.chain.reorg(rng.randint(1, CONFIRMATIONS))


def roll_back(bank: Bank, rng: Random) -> None:
    """The newest blocks are gone."""
    bank.chain.roll_back(rng.randint(1, CONFIRMATIONS))


def raise_base_fee(bank: Bank, rng: Random) -> None:
    """What is in the pool is suddenly too cheap."""
    bank.chain.raise_base_fee(rng.randint(20, 60))


DISASTERS: Mapping[str, Disaster] = {
    "redis-flushed": lambda bank, _: bank.flush(),
    "postgres-crashed": lambda bank, _: bank.crash_postgres(),
    "node-killed": lambda bank, _: bank.chain.restart(),
    "pool-dropped": lambda bank, _: bank.chain.drop_pool(),
    "node-frozen": freeze_node,
    "blocks-replaced": reorg,
    "blocks-rolled-back": roll_back,
    "base-fee-leaps": raise_base_fee,
    "blocks-stand-still": lambda bank, _: bank.stand_still(),
    "workers-killed": lambda bank, _: bank.kill(*WORKERS),
    "dispatcher-and-beat-killed": lambda bank, _: bank.kill("dispatcher", "beat"),
}


def storm(bank: Bank, rng: Random, seconds: float) -> list[Order]:
    """Payments of all sizes, and disasters between them; some meet a strike of their own, some are soon unwanted."""
    orders: list[Order] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        orders += bank.pay(
            rng.randint(1, 3),
            each=rng.randint(1, 4),
            deaths=[_death(rng)] * (rng.random() < 0.5),
            persistent=rng.random() < 0.5,
            expires_in_seconds=rng.choice((None, None, None, 2)),
        )
        bank.wait_a_while(rng.uniform(0.1, 0.6))
        if rng.random() < 0.3:
            bank.kill_child(rng)
        else:
            rng.choice(list(DISASTERS.values()))(bank, rng)
    return orders


def _death(rng: Random) -> Death:
    action = rng.choice(("kill", "kill_worker", "stop"))
    return Death(rng.choice(("sql.before", "sql.after")), rng.randint(1, 40), action)
