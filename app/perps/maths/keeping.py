"""The keeper's decisions: what a rehearsal means, whether it pays, how long to wait after a failure."""

from __future__ import annotations

from app.chain.types.calls import Rehearsal
from app.perps.maths.units import WAD, WORD, divide_up
from app.perps.types.keeper import Fate
from app.perps.types.sections import KeeperSection

# First wait and longest wait in seconds; each further failure in a row doubles it. What is not here does not wait.
BACKOFFS = {
    Fate.HEALTHY: (10, 60),
    Fate.UNTRIGGERED: (2, 30),
    Fate.UNPROFITABLE: (30, 600),
    Fate.REFUSED: (30, 3600),
}


def fate_of(rehearsal: Rehearsal, section: KeeperSection) -> Fate:
    """What the contract's answer means, by the words of the file; PLANNED when the call would go through."""
    if rehearsal.failure is None:
        return Fate.PLANNED
    if rehearsal.reason is None:
        return Fate.UNREACHED if rehearsal.failure.retryable else Fate.REFUSED
    if rehearsal.reason in section.healthy:
        return Fate.HEALTHY
    if rehearsal.reason in section.untriggered:
        return Fate.UNTRIGGERED
    return Fate.GONE if rehearsal.reason in section.gone else Fate.REFUSED


def bonus_units(returned: bytes | None) -> int:
    """The bonus or fee that the call returns, in the collateral's own units: its first word, or nothing."""
    return int.from_bytes(returned[:WORD], "big") if returned and len(returned) >= WORD else 0


def cost_wad(cost_wei: int, native_price_wad: int) -> int:
    """What `cost_wei` is worth in quote, rounded up; the coin's wei are its 18 decimals."""
    return divide_up(cost_wei * native_price_wad, WAD)


def backoff_seconds(fate: Fate, failures: int) -> int:
    """How long to leave a position or an order alone after its `failures`-th failure in a row; 0: not at all."""
    first, longest = BACKOFFS.get(fate, (0, 0))
    return min(first << min(failures - 1, 20), longest)
