"""Chainlink's rounds: their words read, and what one is good for.

A proxy's round id holds the phase, the number of the aggregator behind it, in the bits above the sixty-fourth; a new
aggregator begins its own count again, so only the whole id never goes back. `answeredInRound` is deprecated: not read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from app.oracle.errors import SourceAnswerInvalid
from app.oracle.types.sources import Flaw, Reading, Round, Uptime

SOURCE = "chainlink"
WORD = 32
ROUND_WORDS = 5
PHASE_BITS = 64
MAX_DECIMALS = 36
# The last second of the year 9999: what a datetime can hold.
MAX_UNIX_SECONDS = 253_402_300_799


def read_round(latest: bytes, decimals: bytes, phase: bytes | None) -> Round:
    """The answers to `latestRoundData()`, `decimals()` and the proxy's `phaseId()`; raises SourceAnswerInvalid."""
    if len(latest) != ROUND_WORDS * WORD or {len(decimals), WORD if phase is None else len(phase)} != {WORD}:
        raise SourceAnswerInvalid("There is no Chainlink feed at this address.")
    words = [latest[place : place + WORD] for place in range(0, len(latest), WORD)]
    found = Round(
        round_id=int.from_bytes(words[0], "big"),
        answer=int.from_bytes(words[1], "big", signed=True),
        started_at=int.from_bytes(words[2], "big"),
        updated_at=int.from_bytes(words[3], "big"),
        decimals=int.from_bytes(decimals, "big"),
        phase=None if phase is None else int.from_bytes(phase, "big"),
    )
    if found.decimals > MAX_DECIMALS or max(found.started_at, found.updated_at) > MAX_UNIX_SECONDS:
        raise SourceAnswerInvalid("The Chainlink feed's numbers are out of range.")
    return found


def round_flaw(found: Round) -> Flaw | None:
    """What is wrong with the round by itself; its age is judged where it is used."""
    if found.updated_at == 0:
        return Flaw.ROUND_INCOMPLETE
    if found.phase is not None and found.round_id >> PHASE_BITS != found.phase:
        return Flaw.EARLIER_PHASE
    if found.answer <= 0:
        return Flaw.NOT_POSITIVE
    return None


def round_reading(symbol: str, found: Round) -> Reading:
    """The round as a reading. Its price is answer · 10^-decimals, exactly; its interval is not told, so it is zero."""
    flaw = round_flaw(found)
    if flaw is not None:
        return Reading(symbol=symbol, source=SOURCE, round_id=found.round_id, flaw=flaw)
    return Reading(
        symbol=symbol,
        source=SOURCE,
        price=Decimal((0, tuple(map(int, str(found.answer))), -found.decimals)),
        confidence=Decimal(0),
        observed_at=datetime.fromtimestamp(found.updated_at, UTC),
        round_id=found.round_id,
    )


def read_uptime(latest: bytes, asked_at: datetime) -> Uptime:
    """The answer of a sequencer-uptime feed: 0 is up, 1 is down, since `startedAt`. Raises SourceAnswerInvalid.

    A feed that has not been initialised says zero for its time: that is no answer.
    """
    found = read_round(latest, bytes(WORD), None)
    if found.answer not in (0, 1) or found.started_at == 0:
        raise SourceAnswerInvalid("The sequencer-uptime feed says neither up nor down.")
    return Uptime(found.answer == 0, datetime.fromtimestamp(found.started_at, UTC), asked_at)
