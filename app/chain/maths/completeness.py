"""Which blocks of an answer to hold against the node once more, within a bound, and what an answer left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def allowance(first: int, last: int, per_1000_blocks: int) -> int:
    """The calls that the blocks `first` to `last` bring: of any 1,000 in a row exactly `per_1000_blocks`, however they
    are cut into ranges.
    """
    return (last + 1) * per_1000_blocks // 1000 - first * per_1000_blocks // 1000


def plan_checks(
    window: Window, limits: CheckLimits, *, held: Sequence[Header], suspects: Sequence[Header], settled: bool
) -> Plan:
    """What to check of a window. `held`: its blocks that may hold a watched log; `suspects`: those among them whose
    filter and logs disagree. Near the head (not `settled`) every block that may hold one is proven, suspects first;
    of final blocks the suspects are read again, and a few others, which ones nobody can foresee, are proven.
    """
    first, last = window.first, window.last.number
    if settled:
        calls = allowance(first, last, limits.final_calls_per_1000_blocks)
        share = allowance(first, last, limits.final_calls_per_1000_blocks // SAMPLE_SHARE) if limits.receipts else 0
        reread = tuple(suspects[: calls - share])
        sound = [header for header in held if header not in reread]
        sample = tuple(sorted(sound, key=lambda header: header.hash[::-1])[:share])
        return Plan(sample, reread, len(set(suspects) - {*reread, *sample}))
    calls = allowance(first, last, limits.head_calls_per_1000_blocks)
    if not limits.receipts:
        return Plan((), tuple(suspects[:calls]), len(suspects[calls:]))
    prove = [*suspects, *(header for header in held if header not in suspects)][:calls]
    return Plan(tuple(prove), (), len(set(suspects) - set(prove)))


def cut_at(headers: Sequence[Header], logs: Sequence[Log]) -> tuple[Header, ...]:
    """The block of the last log, when there are as many logs as a list is cut at: it may go on beyond the cut. Blocks
    that are gone altogether their filters tell.
    """
    if not logs or len(logs) % ROUND:
        return ()
    return tuple(header for header in headers if header.hash == logs[-1].block_hash)


def losses_of(logs: Sequence[Log], truth: Mapping[Header, Sequence[Log]]) -> tuple[Loss, ...]:
    """The blocks of `truth` whose logs an answer did not have as they are."""
    answered: dict[bytes, set[Log]] = {}
    for log in logs:
        answered.setdefault(log.block_hash, set()).add(log)
    found = []
    for header, true_logs in truth.items():
        had, true = answered.get(header.hash, set()), set(true_logs)
        if had != true:
            found.append(Loss(header.number, len(true - had), len(had - true)))
    return tuple(found)


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
    return Window(
        window.headers, tuple(sorted(logs, key=lambda log: (log.block_number, log.log_index))), window.answer_bytes
    )
