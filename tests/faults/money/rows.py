"""The rows of the matrix that are about money: each strikes in its own way, and the auditor says what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from app.core.failpoints import POINTS
from tests.faults.money.audit import audit
from tests.faults.money.disasters import DISASTERS, storm
from tests.faults.money.ground import Ground, Order, ground
from tests.faults.money.strikes import Strike

TICK_STEP = "sender.confirm.before"
STEPS = tuple(name for name in POINTS if name.startswith("sender.") and name != TICK_STEP)
# More than a payment's first attempt, or a tick, has statements: the last ones must survive.
PAYMENT_STATEMENTS, TICK_STATEMENTS = 40, 40
SAMPLE = 12


@dataclass(frozen=True)
class Row:
    """One line of the table; `complaints` is all that is wrong with the books after it."""

    fault: str
    intents: int
    lost: int
    doubled: int
    missing: int
    seconds: float
    note: str
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A fault, and the orders that met it. `struck_at` in seconds since 1970; None: when the orders' strikes fell."""

    fault: str
    orders: Sequence[Order]
    struck_at: float | None = None
    must_strike: bool = True
    must_survive: bool = False


def judge(place: Ground, cases: Sequence[Case]) -> list[Row]:
    """Wait until all has ended, audit once, and give a row a case."""
    settled = place.settle([order for case in cases for order in case.orders])
    found = audit(place.engine, place.chain, [key for order in place.orders for key in order.keys])
    others = [*found.others, *([] if settled else ["it has not settled"])]
    return [_row(place, case, found.lost, found.doubled, len(found.missing), others) for case in cases]


def _row(place: Ground, case: Case, lost: set[int], doubled: set[int], missing: int, others: Sequence[str]) -> Row:
    keys = {key for order in case.orders for key in order.keys}
    armed = [order for order in case.orders if order.strike is not None]
    fell = [at for order in armed if (at := place.strikes.struck_at(order.job_id)) is not None]
    complaints = [f"lost: {sorted(lost & keys)}"] * bool(lost & keys)
    complaints += [f"doubled: {sorted(doubled & keys)}"] * bool(doubled & keys)
    complaints += [f"{missing} nonces are missing"] * bool(missing)
    complaints += place.unfinished(case.orders)
    if armed and case.must_strike and len(fell) < len(armed):
        complaints.append(f"{len(armed) - len(fell)} strikes never fell")
    if case.must_survive and len(fell) == len(armed):
        complaints.append("nobody survived: there are more statements than strikes")
    return Row(
        fault=case.fault,
        intents=len(keys),
        lost=len(lost & keys),
        doubled=len(doubled & keys),
        missing=missing,
        seconds=place.last_end(case.orders) - (case.struck_at or min(fell, default=time.time())),
        note=f"{len(fell)} strikes" if armed else "",
        complaints=(*complaints, *others),
    )


def at_every_step(place: Ground, action: str, what: str, each: int = 2) -> list[Row]:
    """A payment's process dies, or stands still past its lease, at each named step of the sender's way."""
    cases = []
    for name in STEPS:
        strikes = [Strike(name, action=action)] * each
        orders = place.pay(each, each=2, strikes=strikes[:1]) + place.pay(each, strikes=strikes, persistent=True)
        cases.append(Case(f"{what} at {name}", orders))
    place.pay(4, each=2)
    return judge(place, [*cases, confirming(place, action, what)])


def confirming(place: Ground, action: str, what: str) -> Case:
    """The same for the watcher that is about to confirm."""
    paid = place.pay(4, each=2)
    place.wait_for(lambda: place.any_broadcast())
    ticks = place.watch([Strike(TICK_STEP, action=action)] * 2)
    place.wait_for(lambda: all(place.strikes.struck_at(tick.job_id) for tick in ticks), 20.0)
    return Case(f"{what} at {TICK_STEP}", [*paid, *ticks])


def at_every_statement(place: Ground, numbers: Sequence[int]) -> list[Row]:
    """A payment's process dies before and after each of its statements, until it survives."""
    cases = []
    for name in ("sql.before", "sql.after"):
        strikes = [Strike(name, number) for number in numbers]
        half = len(strikes) // 2
        orders = place.pay(half, strikes=strikes[:half])
        orders += place.pay(len(strikes) - half, strikes=strikes[half:], persistent=True)
        fault = f"killed {'before' if name == 'sql.before' else 'after'} each statement of a payment"
        cases.append(Case(fault, orders, must_strike=False, must_survive=PAYMENT_STATEMENTS in numbers))
    return judge(place, cases)


def at_every_statement_of_a_tick(place: Ground, numbers: Sequence[int], rng: Random) -> list[Row]:
    """The watcher dies before and after each of its statements, while payments wait for it in every state."""
    cases = []
    for name in ("sql.before", "sql.after"):
        left_behind = [Strike(step) for step in STEPS]
        orders = place.pay(2 * len(STEPS), strikes=left_behind)
        strikes = [Strike(name, number) for number in numbers]
        rng.shuffle(strikes)
        while strikes:
            orders += place.watch(strikes[:6])
            del strikes[:6]
            place.wait_a_while(0.4)
        fault = f"killed {'before' if name == 'sql.before' else 'after'} each statement of the watcher"
        cases.append(Case(fault, orders, must_strike=False))
    return judge(place, cases)


def disaster(place: Ground, what: str, strike: Callable[[Ground, Random], None], rng: Random) -> list[Row]:
    """Something outside fails while payments are in every state."""
    orders = place.pay(6, each=3)
    place.wait_a_while(rng.uniform(0.2, 1.0))
    orders += place.pay(6, each=2, persistent=True)
    place.wait_a_while(rng.uniform(0.1, 0.6))
    struck_at = time.time()
    strike(place, rng)
    return judge(place, [Case(what, orders, struck_at)])


def stormy(place: Ground, rng: Random, seconds: float) -> list[Row]:
    """All of it, at random."""
    struck_at, orders = time.time(), storm(place, rng, seconds)
    return judge(place, [Case(f"a storm of everything for {seconds:.0f} s", orders, struck_at, must_strike=False)])


def rows(seed: int, folder: Path, *, complete: bool = False) -> Iterator[Row]:
    """The whole matrix of money, on a ground in `folder`. Without `complete`, the seed samples the statements."""
    rng = Random(f"money:{seed}")  # noqa: S311 - a storm's, not a key's

    def numbers(most: int) -> list[int]:
        every = range(1, most + 1)
        return list(every) if complete else sorted({*rng.sample(every, SAMPLE), most})

    with ground(folder) as place:
        yield from at_every_step(place, "kill", "child killed")
        yield from at_every_step(place, "kill_worker", "worker killed")
        yield from at_every_step(place, "stop", "child stopped past its lease")
        yield from at_every_statement(place, numbers(PAYMENT_STATEMENTS))
        yield from at_every_statement_of_a_tick(place, numbers(TICK_STATEMENTS), rng)
        for what, strike in DISASTERS.items():
            yield from disaster(place, what, strike, rng)
        yield from stormy(place, rng, 20.0)
