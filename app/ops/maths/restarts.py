"""How soon a role that died is started again."""

from __future__ import annotations

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
HEALTHY_SECONDS = 60.0


def restart_delay_seconds(deaths: int) -> float:
    """Wait before the next start after `deaths` (one or more) in a row: doubled each time, half a minute at most.

    There is no last try: a role that comes back when its database does is worth two starts a minute.
    """
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(deaths - 1, 16))


def deaths_in_a_row(before: int, lived_seconds: float) -> int:
    """The count after one more death; a life of a minute makes it the first again."""
    return 1 if lived_seconds >= HEALTHY_SECONDS else before + 1
