"""The rows of the matrix that are about money: each strikes in its own way, and the auditor says what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from app.core.failpoints import POINTS
from tests.faults.deaths import Death
from tests.faults.ground import Ground
from tests.faults.money.audit import Findings, audit
from tests.faults.money.bank import BLOCK_SECONDS, Bank, Order, open_bank
from tests.faults.money.chain import CONFIRMATIONS
from tests.faults.money.disasters import DISASTERS, Disaster, storm

CONFIRMING = "sender.confirm.before"
SENDING = tuple(name for name in POINTS if name.startswith("sender.") and name != CONFIRMING)
BOUNDARIES = ("sql.before", "sql.after")
# More than the first attempt of a payment has statements, so that the last one survives; of a tick, about as many.
PAYMENT_STATEMENTS, TICK_STATEMENTS = 40, 40
SAMPLED = 12
SETTLE_SECONDS = 120.0
STRIKE_SECONDS = 30.0
STORM_SECONDS = 20.0


@dataclass(frozen=True)
class Row:
    """One line of the table; `complaints` is all that is wrong with the books after it."""

    fault: str
    intents: int
    lost: int
    doubled: int
    missing: int
    recovery_seconds: float
    note: str
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A fault, and the orders that met it. `struck_at` in seconds since 1970; None: when the orders' deaths came.
    `deaths`: at least so many must come, for a row to have shown anything."""

    fault: str
    orders: Sequence[Order]
    struck_at: float | None = None
    deaths: int = 0
    one_survives: bool = False


def judge(bank: Bank, cases: Sequence[Case]) -> list[Row]:
    """Wait until all has ended, audit once, and give a row a case."""
    everything = [order for case in cases for order in case.orders]
    settled = bank.wait_for(lambda: bank.is_quiet(everything), SETTLE_SECONDS)
    found = audit(bank.engine, bank.chain, {key: order.expires for order in bank.orders for key in order.keys})
    if not settled:
        found.others.append(f"not over after {SETTLE_SECONDS:.0f} s")
    return [_row(bank, case, found) for case in cases]


def _row(bank: Bank, case: Case, found: Findings) -> Row:
    keys = {key for order in case.orders for key in order.keys}
    lost, doubled = sorted(found.lost & keys), sorted(found.doubled & keys)
    armed = [order for order in case.orders if order.death is not None]
    deaths = [at for order in armed if (at := bank.struck_at(order)) is not None]
    complaints = [f"{what}: {which}" for what, which in (("lost", lost), ("doubled", doubled)) if which]
    complaints += [f"nonces are missing: {sorted(found.missing)}"] if found.missing else []
    complaints += bank.unfinished(case.orders)
    if len(deaths) < case.deaths:
        complaints.append(f"only {len(deaths)} of {len(armed)} died")
    if case.one_survives and len(deaths) == len(armed):
        complaints.append("nobody survived: there are more statements than deaths")
    return Row(
        fault=case.fault,
        intents=len(keys),
        lost=len(lost),
        doubled=len(doubled),
        missing=len(found.missing),
        recovery_seconds=bank.last_end(case.orders) - (case.struck_at or min(deaths, default=time.time())),
        note=f"{len(deaths)} deaths" if armed else "",
        complaints=(*complaints, *found.others),
    )


def children(bank: Bank) -> list[Row]:
    """A child is killed, or stands still past its lease, at each named step of a transaction's way."""
    cases = []
    for action, who in (("kill", "child"), ("stop", "frozen")):
        for name in SENDING:
            death = Death(name, action=action)
            orders = bank.pay(1, each=2, deaths=[death]) + bank.pay(2, deaths=[death], persistent=True)
            cases.append(Case(_at(who, name), orders, deaths=2))
        cases.append(_confirming(bank, who, action))
    return judge(bank, cases)


def workers(bank: Bank) -> list[Row]:
    """The same of a whole worker, one after the other, for its death takes its other children along."""
    cases, action = [], "kill_worker"
    for name in SENDING:
        orders = bank.pay(2, each=2, deaths=[Death(name, action=action)], persistent=True)
        if not _await_deaths(bank, orders):  # it was in the hands of the worker that died of the one before
            orders += bank.pay(1, deaths=[Death(name, action=action)])
            _await_deaths(bank, orders[-1:])
        cases.append(Case(_at("whole", name), orders, deaths=1))
    return judge(bank, [*cases, _confirming(bank, "whole", action)])


def _at(who: str, place: str) -> str:
    """`sender.signed` as a row's name."""
    return f"{who}-{place.replace('.', '-')}"


def _confirming(bank: Bank, who: str, action: str) -> Case:
    """Ticks of the watcher that die when they are about to confirm."""
    orders = bank.pay(3, each=2)
    bank.wait_for(bank.any_broadcast, STRIKE_SECONDS)
    ticks = bank.watch([Death(CONFIRMING, action=action)])
    _await_deaths(bank, ticks)
    return Case(_at(who, CONFIRMING), [*orders, *ticks], deaths=1)


def _await_deaths(bank: Bank, orders: Sequence[Order]) -> bool:
    armed = [order for order in orders if order.death is not None]
    return bank.wait_for(lambda: all(bank.struck_at(order) for order in armed), STRIKE_SECONDS)


def payments_at_every_statement(bank: Bank, numbers: Sequence[int]) -> list[Row]:
    """A payment's process dies before and after each of its statements, until it survives."""
    cases = []
    for name in BOUNDARIES:
        deaths = [Death(name, number) for number in numbers]
        orders = bank.pay(len(deaths[::2]), deaths=deaths[::2])
        orders += bank.pay(len(deaths[1::2]), deaths=deaths[1::2], persistent=True)
        survives = PAYMENT_STATEMENTS in numbers
        cases.append(Case(_at("payment", name), orders, one_survives=survives))
    return judge(bank, cases)


def ticks_at_every_statement(bank: Bank, numbers: Sequence[int], rng: Random) -> list[Row]:
    """The watcher dies before and after each of its statements, while payments wait for it in every state."""
    cases = []
    for name in BOUNDARIES:
        orders = bank.pay(2 * len(SENDING), deaths=[Death(step) for step in SENDING])
        deaths = [Death(name, number) for number in rng.sample(numbers, len(numbers))]
        for first in range(0, len(deaths), 6):
            orders += bank.watch(deaths[first : first + 6])
            bank.wait_a_while(0.4)
        cases.append(Case(_at("watcher", name), orders))
    return judge(bank, cases)


def disaster(bank: Bank, fault: str, strike: Disaster, rng: Random) -> list[Row]:
    """Something outside fails while payments are in every state."""
    orders = bank.pay(6, each=3)
    bank.wait_a_while(rng.uniform(0.2, 1.0))
    orders += bank.pay(6, each=2, persistent=True)
    bank.wait_a_while(rng.uniform(0.1, 0.6))
    struck_at = time.time()
    strike(bank, rng)
    return judge(bank, [Case(fault, orders, struck_at)])


def everything(bank: Bank, rng: Random) -> list[Row]:
    """All of it, at random."""
    struck_at, orders = time.time(), storm(bank, rng, STORM_SECONDS)
    return judge(bank, [Case("everything", orders, struck_at)])


def short(bank: Bank, rng: Random) -> list[Row]:
    """The most telling of it in one round: each named step, some statements, and a chain that loses blocks and pool."""
    deaths = [Death(name) for name in SENDING]
    deaths += [Death(rng.choice(BOUNDARIES), rng.randint(2, PAYMENT_STATEMENTS // 2)) for _ in range(3)]
    orders = bank.pay(len(deaths[::2]), deaths=deaths[::2], each=2)
    orders += bank.pay(len(deaths[1::2]), deaths=deaths[1::2], persistent=True)
    _await_deaths(bank, orders)
    struck_at = time.time()
    orders += bank.pay(3, each=2)
    bank.flush()
    bank.wait_for(bank.any_broadcast, STRIKE_SECONDS)
    bank.stand_still()
    bank.chain.raise_base_fee(60)
    bank.chain.drop_pool()
    bank.wait_a_while(3 * BLOCK_SECONDS)
    bank.chain.reorg(CONFIRMATIONS)
    return judge(bank, [Case("short", orders, struck_at, deaths=len(SENDING))])


def rows(ground: Ground, seed: int, *, complete: bool = False) -> Iterator[Row]:
    """The matrix of money on `ground`, whose tables and cast it changes. Unless `complete`, the seed draws a sample of
    the statements at which to die."""
    rng = Random(f"money:{seed}")  # noqa: S311 - a storm's, not a key's

    def sample(last: int) -> list[int]:
        every = range(1, last + 1)
        return list(every) if complete else sorted({*rng.sample(every, SAMPLED), last})

    with open_bank(ground) as bank:
        yield from children(bank)
        yield from workers(bank)
        yield from payments_at_every_statement(bank, sample(PAYMENT_STATEMENTS))
        yield from ticks_at_every_statement(bank, sample(TICK_STATEMENTS), rng)
        for fault, strike in DISASTERS.items():
            yield from disaster(bank, fault, strike, rng)
        yield from everything(bank, rng)
