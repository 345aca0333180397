"""Chainlink's feeds of one chain, all asked in one batch; nothing believed yet but the form.

The node is reached through a function of the chain's, so that its providers, limits and classified failures hold here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.chain.errors import ExecutionReverted
from app.chain.types.calls import ContractCall
from app.core.errors import AppError
from app.core.logging import get_logger
from app.oracle.errors import SourceAnswerInvalid
from app.oracle.maths.rounds import SOURCE, read_round, read_uptime, round_reading
from app.oracle.types.sources import ChainlinkFeed, Flaw, Reading, Uptime

log = get_logger(__name__)

LATEST_ROUND_DATA = bytes.fromhex("feaf968c")
DECIMALS = bytes.fromhex("313ce567")
PHASE_ID = bytes.fromhex("58303b10")
QUESTIONS = (LATEST_ROUND_DATA, DECIMALS, PHASE_ID)

ReadAll = Callable[[Sequence[ContractCall]], Sequence[bytes | AppError]]


@dataclass(frozen=True, slots=True)
class ChainlinkAnswer:
    """What every feed said, and the sequencer-uptime feed, where the chain has one that answered."""

    readings: tuple[Reading, ...]
    uptime: Uptime | None


class Chainlink:
    """The feeds of one chain; `uptime_address` (20 bytes) is its sequencer-uptime feed."""

    def __init__(self, feeds: Sequence[ChainlinkFeed], uptime_address: bytes | None = None) -> None:
        self.feeds = tuple(feeds)
        self.uptime_address = uptime_address

    def ask(self, read_all: ReadAll, now: datetime) -> ChainlinkAnswer:
        """What the feeds say at the chain's head: three calls a feed and one for the sequencer, in one batch.

        A feed that does not answer as one has its flaw and takes no other down. When the node does not answer at all,
        every feed is unavailable, and nothing is known of the sequencer.
        """
        calls = [ContractCall(feed.address, question) for feed in self.feeds for question in QUESTIONS]
        if self.uptime_address is not None:
            calls.append(ContractCall(self.uptime_address, LATEST_ROUND_DATA))
        if not calls:
            return ChainlinkAnswer((), None)
        try:
            answers = read_all(calls)
        except AppError as error:
            log.warning("chainlink_unavailable", code=error.code, detail=error.detail)
            flawed = tuple(_flawed(feed.symbol, Flaw.UNAVAILABLE) for feed in self.feeds)
            return ChainlinkAnswer(flawed, None)
        size = len(QUESTIONS)
        readings = tuple(
            _reading(feed.symbol, answers[place * size : place * size + size]) for place, feed in enumerate(self.feeds)
        )
        return ChainlinkAnswer(readings, None if self.uptime_address is None else _uptime(answers[-1], now))


def _reading(symbol: str, answers: Sequence[bytes | AppError]) -> Reading:
    latest, decimals, phase = answers
    if isinstance(latest, AppError):
        return _flawed(symbol, _flaw_of(latest))
    if isinstance(decimals, AppError):
        return _flawed(symbol, _flaw_of(decimals))
    # An aggregator by itself reverts here: only proxies have phases.
    phase_id = None if isinstance(phase, ExecutionReverted) else phase
    if isinstance(phase_id, AppError):
        return _flawed(symbol, Flaw.UNAVAILABLE)
    try:
        return round_reading(symbol, read_round(latest, decimals, phase_id))
    except SourceAnswerInvalid:
        return _flawed(symbol, Flaw.ANSWER_INVALID)


def _flaw_of(failure: AppError) -> Flaw:
    return Flaw.REVERTED if isinstance(failure, ExecutionReverted) else Flaw.UNAVAILABLE


def _uptime(answer: bytes | AppError, now: datetime) -> Uptime | None:
    if isinstance(answer, AppError):
        log.warning("sequencer_uptime_unknown", code=answer.code)
        return None
    try:
        return read_uptime(answer, now)
    except SourceAnswerInvalid as error:
        log.warning("sequencer_uptime_unknown", code=error.code)
        return None


def _flawed(symbol: str, flaw: Flaw) -> Reading:
    return Reading(symbol=symbol, source=SOURCE, flaw=flaw)
