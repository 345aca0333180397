"""Back-off: when a failed job runs again. Pure: the jitter's random number is an argument."""

from __future__ import annotations


def backoff_seconds(attempt: int, base_seconds: float, cap_seconds: float, jitter: float) -> float:
    """The wait after failed attempt `attempt` (from 1): base·2^(attempt−1), capped, times 0.5 to 1 by `jitter` in [0,
    1].

    Equal jitter: half of the wait is sure, so that a retry storm spreads and none comes at once.
    """
    whole = min(cap_seconds, base_seconds * 2.0 ** min(attempt - 1, 60))
    return whole * (0.5 + 0.5 * jitter)
