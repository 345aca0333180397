"""What happens in the demo, decided beforehand from a seed: who opens what, which prices move, what is closed.

Prices walk, so nothing here depends on one. In every market the price moves by a twenty-fifth against one side. There
the risky positions (twentyfold leverage and more) fall below their margin and must be liquidated; nobody else does. On
the way it comes past the stop-loss of one position and the take-profit of another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from contracts.markets import WAD

MOVE_BPS = 400
TRIGGER_BPS = 200
"""How far from its entry a stop-loss or a take-profit waits: half-way to where the price goes."""

RISKY = (20, 20, 40)
RISKY_IN_MINOR = (20,)
"""The most a minor market allows is 25."""

STEADY = (2, 3, 4, 5)
BOLD = 15
COLLATERAL = (1_000, 20_000)


class Fate(StrEnum):
    """What becomes of a position; those that put collateral in or take some out stay open afterwards. A stop-loss
    closes a half of one that stops, a take-profit all of one that gains.
    """

    STAYS = "stays"
    ADDS = "adds"
    TAKES = "takes"
    CLOSES = "closes"
    STOPS = "stops"
    GAINS = "gains"
    LIQUIDATED = "liquidated"


@dataclass(frozen=True)
class Order:
    """A position to open, by the trader of that number."""

    trader: int
    symbol: str
    is_long: bool
    leverage_wad: int
    collateral_wad: int
    fate: Fate


@dataclass(frozen=True)
class Plan:
    """The orders in the sequence they are given in, and each market's move: a fraction in basis points."""

    orders: tuple[Order, ...]
    moves_bps: dict[str, int]


def make_plan(seed: int, *, traders: int, majors: tuple[str, ...], minors: tuple[str, ...]) -> Plan:
    """The plan of a seed; the same arguments give the same plan."""
    chance = random.Random(seed)  # noqa: S311 - a play that can be repeated, not a secret
    moves = {symbol: chance.choice((-MOVE_BPS, MOVE_BPS)) for symbol in (*majors, *minors)}
    orders: list[Order] = []
    for symbol, move in moves.items():
        risky = RISKY_IN_MINOR if symbol in minors else RISKY
        for is_long, leverage, fate in _positions(losers_are_long=move < 0, risky=risky, chance=chance):
            collateral = chance.randint(*COLLATERAL)
            trader = chance.randrange(traders)
            orders.append(Order(trader, symbol, is_long, leverage * WAD, collateral * WAD, fate))
    chance.shuffle(orders)
    return Plan(tuple(orders), moves)


def moved(price: Decimal, move_bps: int) -> Decimal:
    """The price after the move, with as many decimals."""
    return (price * (10_000 + move_bps) / 10_000).quantize(price)


def trigger_wad(entry_price_wad: int, move_bps: int) -> int:
    """Where an order waits that the move will come past, rounded down."""
    return entry_price_wad * (10_000 + (TRIGGER_BPS if move_bps > 0 else -TRIGGER_BPS)) // 10_000


def _positions(
    *, losers_are_long: bool, risky: tuple[int, ...], chance: random.Random
) -> Iterator[tuple[bool, int, Fate]]:
    """One market's positions as (long?, leverage, fate). On both sides one at least stays, so that funding goes on."""
    for leverage in risky:
        yield losers_are_long, leverage, Fate.LIQUIDATED
    yield not losers_are_long, BOLD, Fate.CLOSES
    yield losers_are_long, STEADY[-1], Fate.STOPS
    yield not losers_are_long, STEADY[-1], Fate.GAINS
    for is_long in (True, False):
        yield is_long, chance.choice(STEADY), Fate.STAYS
    for fate in (Fate.ADDS, Fate.TAKES, Fate.CLOSES):
        yield chance.random() < 0.5, chance.choice(STEADY), fate
