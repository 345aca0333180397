"""Which blocks of an answer to hold against the node once more, within a bound, and what an answer left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from app.chain.types.blocks import Header, Log
from app.chain.types.indexing import CheckLimits, Loss, Window

ROUND = 100  # lists are cut at round numbers of logs
SAMPLE_SHARE = 10  # of the calls for final blocks, one in ten proves a block that nothing is wrong with


class Plan(NamedTuple):
    """Blocks to prove by their receipts, blocks to read again by hash; and how many suspicious ones the bound leaves
    out.
    """

    prove: tuple[Header, ...]
    reread: tuple[Header, ...]
    unchecked: int


class Allowance:
    """Calls that may be spent, earned by blocks: `per_1000_blocks`, saved up to those of 1,000 blocks, which `full`
    begins with. So over any number of blocks it is never more than their share and one such saving.
    """

    def __init__(self, per_1000_blocks: int, *, full: bool):
        self._earned = per_1000_blocks  # thousandths of a call, for each block
        self._left = self._most = per_1000_blocks * 1000
        if not full:
            self._left = 0

    def earn(self, blocks: int) -> None:
        """These blocks have been read."""
        self._left = min(self._most, self._left + blocks * self._earned)

    def spend(self, calls: int) -> int:
        """Spend up to `calls`; returns how many."""
        spent = min(calls, self._left // 1000)
        self._left -= spent * 1000
        return spent


class Budget:
    """What a tick may spend on checks; handed from one window to the next."""

    def __init__(self, limits: CheckLimits):
        self.head = Allowance(limits.head_calls_per_1000_blocks, full=True)
        self.final = Allowance(limits.final_calls_per_1000_blocks * (SAMPLE_SHARE - 1) // SAMPLE_SHARE, full=True)
        self.sample = Allowance(limits.final_calls_per_1000_blocks // SAMPLE_SHARE, full=False)


def plan_checks(
    window: Window,
    budget: Budget,
    *,
    held: Sequence[Header],
    suspects: Sequence[Header],
    settled: bool,
    limits: CheckLimits,
) -> Plan:
    """What to check of a window, taken from `budget`. `held`: its blocks that may hold a watched log; `suspects`: those
    whose filter and logs disagree. Near the head (not `settled`) every block that may hold one is proven, suspects
    first; of final blocks the suspects are read again, and a few others, which ones nobody can foresee, are proven.
    Where there are no filters to point at suspects, the calls for these go to more of the others.
    """
    receipts = limits.receipts
    blocks = len(window.headers)
    if settled:
        budget.final.earn(blocks)
        budget.sample.earn(blocks)
        reread = tuple(suspects[: budget.final.spend(len(suspects))])
        sound = sorted(set(held) - set(reread), key=lambda header: header.hash[::-1]) if receipts else []
        size = budget.sample.spend(len(sound))
        if not limits.blooms:
            size += budget.final.spend(len(sound) - size)
        sample = tuple(sound[:size])
        return Plan(sample, reread, len(set(suspects) - {*reread, *sample}))
    budget.head.earn(blocks)
    wanted = [*suspects, *(header for header in held if header not in suspects)] if receipts else list(suspects)
    chosen = tuple(wanted[: budget.head.spend(len(wanted))])
    unchecked = len(set(suspects) - set(chosen))
    return Plan(chosen, (), unchecked) if receipts else Plan((), chosen, unchecked)


def cut_at(headers: Sequence[Header], logs: Sequence[Log]) -> tuple[Header, ...]:
    """The block of the last log, when there are as many logs as a list is cut at: it may go on beyond the cut. Blocks
    that are gone altogether their filters tell.
    """
    if not logs or len(logs) % ROUND:
        return ()
    return tuple(header for header in headers if header.hash == logs[-1].block_hash)


def losses_of(logs: Sequence[Log], truth: Mapping[Header, Sequence[Log]]) -> tuple[Loss, ...]:
    """The blocks of `truth` whose logs an answer did not have as they are."""
    answered: dict[bytes, set[Log]] = {header.hash: set() for header in truth}
    for log in logs:
        if log.block_hash in answered:
            answered[log.block_hash].add(log)
    found = []
    for header, true_logs in truth.items():
        had, true = answered[header.hash], set(true_logs)
        if had != true:
            found.append(Loss(header.number, len(true - had), len(had - true)))
    return tuple(sorted(found, key=lambda loss: loss.block_number))


def differences(stored: Sequence[Log], truth: Mapping[Header, Sequence[Log]]) -> tuple[list[Log], list[Log]]:
    """What the blocks of `truth` hold and `stored` does not, in the chain's order; and what `stored` has of them too
    much.
    """
    true = {log for logs in truth.values() for log in logs}
    blocks = {header.hash for header in truth}
    had = {log for log in stored if log.block_hash in blocks}
    missing, extra = (
        sorted(some, key=lambda log: (log.block_number, log.log_index)) for some in (true - had, had - true)
    )
    return missing, extra


def repaired(window: Window, truth: Mapping[Header, Sequence[Log]]) -> Window:
    """The window with the logs of these blocks as they are."""
    known = {header.hash for header in truth}
    logs = [log for log in window.logs if log.block_hash not in known]
    logs += [log for true_logs in truth.values() for log in true_logs]
    return replace(window, logs=tuple(sorted(logs, key=lambda log: (log.block_number, log.log_index))))
