"""Healing: find where the node's chain parts from ours, and undo what came after, in every derived table at once."""

from __future__ import annotations

from app.chain import errors
from app.chain.adapters.logs import read_headers
from app.chain.adapters.rpc import Provider
from app.chain.maths.forks import last_common, rewind_to, search_chunks
from app.chain.queries import backfills, children, cursors, events, headers
from app.chain.services.work import Work
from app.chain.types.indexing import Alarm, Cursor, Heads, Rewind
from app.core.db import release
from app.core.logging import get_logger

FORK_BELOW_FINALITY = "fork_below_finality"
NODE_BEHIND = "node_behind"

log = get_logger(__name__)


def heal(work: Work, provider: Provider, cursor: Cursor, heads: Heads, *, seen_at: int) -> None:
    """Rewind the chain's tables to the last block that the node and we have in common, below the block `seen_at` where
    they differ, and commit.

    A fork below what was final raises an alarm first, in a transaction of its own, and is rewound all the same; where
    the options say so the chain's sets are halted instead (SetHalted). Raises CursorMoved when another worker was
    faster, and NodeBehind for a node that merely lags.
    """
    believed, start_block, final_block = _belief(work, cursor)
    try:
        node = _compare(provider, believed, heads.head.number, seen_at, tip_block=cursor.next_block - 1)
        found = rewind_to(believed, node, start_block=start_block, final_block=final_block)
    except errors.NodeBehind as behind:
        work.alarm(_alarm(work, NODE_BEHIND, provider.name, head_block=heads.head.number, final_block=final_block))
        raise behind
    if found.deep:
        _deep(work, provider, found, final_block)
    rewind(work, cursor, found.from_block)
    log.warning("chain_rewound", chain_id=cursor.chain_id, from_block=found.from_block, contract_set=cursor.name)


def rewind(work: Work, cursor: Cursor, from_block: int) -> None:
    """Undo every block from `from_block` on: cursors, projections, what back-fills folded, events, children, headers;
    commits, all or nothing.

    Raises CursorMoved when the cursor that the decision was made from has moved since.
    """
    session, chain_id = work.session, cursor.chain_id
    cursors.lock_chain(session, chain_id)
    now = cursors.find_cursor(session, chain_id, cursor.name)
    if now is None or (now.next_block, now.tip_hash) != (cursor.next_block, cursor.tip_hash):
        raise errors.CursorMoved()
    events.drop_events(session, chain_id, from_block)
    children.drop(session, chain_id, from_block)
    for projection in work.all_projections():
        projection.rollback(session, chain_id, from_block)
    cursors.rewind(session, chain_id, from_block)
    backfills.rewind(session, chain_id, from_block)
    headers.drop_headers(session, chain_id, from_block)
    work.commit()


def _belief(work: Work, cursor: Cursor) -> tuple[dict[int, bytes], int, int | None]:
    """What we hold to be the chain, newest first; the first block of any set; the highest block called final."""
    session, chain_id = work.session, cursor.chain_id
    believed = headers.hashes_newest_first(session, chain_id)
    if cursor.tip_block is not None and cursor.tip_hash is not None:
        believed[cursor.tip_block] = cursor.tip_hash
    start = cursors.first_start(session, chain_id)
    final = cursors.highest_final(session, chain_id)
    release(session)
    newest_first = dict(sorted(believed.items(), reverse=True))
    return newest_first, cursor.start_block if start is None else start, final


def _compare(
    provider: Provider, believed: dict[int, bytes], head_block: int, seen_at: int, *, tip_block: int
) -> dict[int, bytes]:
    """The node's hashes at the numbers we know, from its head down, as far as it takes to find a common block.

    The block that gave the fork away comes first, and the search goes at least down to the cursor's own `tip_block`.
    What another set or a back-fill has read above that, at another time, may be the node's chain again, and agreement
    there says nothing of the blocks below.
    """
    numbers = [number for number in believed if number <= head_block]
    seen = [number for number in numbers if number == seen_at]
    node: dict[int, bytes] = {header.number: header.hash for header in read_headers(provider, seen)} if seen else {}
    for chunk in search_chunks([number for number in numbers if number != seen_at]):
        node |= {header.number: header.hash for header in read_headers(provider, chunk)}
        if chunk[-1] <= tip_block and last_common(believed, node) is not None:
            break
    return node


def _deep(work: Work, provider: Provider, found: Rewind, final_block: int | None) -> None:
    work.alarm(
        _alarm(
            work,
            FORK_BELOW_FINALITY,
            f"block {found.from_block}",
            from_block=found.from_block,
            final_block=final_block,
            node=provider.name,
        )
    )
    if work.options.halt_on_deep_fork:
        reason = f"a fork at block {found.from_block}, below the final block {final_block}"
        cursors.halt(work.session, work.contracts.chain_id, reason)
        work.commit()
        raise errors.SetHalted(f"Indexing is halted: {reason}.")


def _alarm(work: Work, kind: str, subject: str, **detail: object) -> Alarm:
    return Alarm(
        chain_id=work.contracts.chain_id,
        contract_set=work.contracts.name,
        kind=kind,
        subject=subject,
        detail=detail,
    )
