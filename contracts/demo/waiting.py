"""Waiting for something to become true: bounded, by looking, and with a line for the person who waits along."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_SECONDS = 0.25
ASK_SECONDS = 1.0
"""Between two questions to the API, which counts them."""

SAY_SECONDS = 5.0


class NeverCame(RuntimeError):
    """What was waited for did not come in time."""


def wait_until(
    what: str,
    look: Callable[[], tuple[int, int]],
    say: Callable[[str], None],
    *,
    seconds: float,
    every_seconds: float = LOOK_SECONDS,
) -> None:
    """Look until so many are there of so many; raises NeverCame with how far it got."""
    began = told = time.monotonic()
    while True:
        there, wanted = look()
        now = time.monotonic()
        if there >= wanted:
            return
        if now - began > seconds:
            raise NeverCame(f"{what}: {there} of {wanted} after {seconds:.0f} s")
        if now - told > SAY_SECONDS:
            told = now
            say(f"waiting: {what}, {there} of {wanted} ({now - began:.0f} s)")
        time.sleep(every_seconds)
