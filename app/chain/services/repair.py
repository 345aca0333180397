"""What an audit found, put right: rows that were missing are written, rows that are proven false are taken out, and
what was folded from either is folded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from app.chain.errors import CursorMoved
from app.chain.maths.selection import created
from app.chain.queries import audits, children, cursors, events
from app.chain.queries.headers import hashes_between
from app.chain.services.children import protocol_of
from app.chain.services.recording import decode, without_refused
from app.chain.services.work import Work
from app.chain.types.blocks import Header, Log
from app.chain.types.indexing import Alarm, Window
from app.chain.types.providers import RangeAudit
from app.core.logging import get_logger

log = get_logger(__name__)
SHOWN_ROWS = 10


def repair(
    work: Work, found: RangeAudit, headers: Sequence[Header], *, missing: Sequence[Log], false: Sequence[Log]
) -> None:
    """Write down the audit and put right what it found, in one transaction, and commit; then raise an alarm about it.

    Raises CursorMoved when a reorg has reached the range meanwhile.
    """
    session, contracts = work.session, work.contracts
    cursors.lock_chain(session, contracts.chain_id)
    _unmoved(work, found, headers)
    if false:
        events.remove_events(session, contracts.chain_id, false)
        for projection in work.all_projections():
            projection.forget(session, contracts.chain_id, false)
    _write(work, headers, missing)
    audits.write(session, contracts.chain_id, contracts.name, found)
    work.commit()
    if found.rows_missing or found.rows_extra:
        removed = [[one.block_number, one.log_index] for one in false[:SHOWN_ROWS]]
        log.error("audit_differs", contract_set=contracts.name, removed=removed, **asdict(found))
        work.alarm(
            Alarm(
                chain_id=contracts.chain_id,
                contract_set=contracts.name,
                kind="audit_differs",
                subject=f"{contracts.name}@{found.first_block}-{found.last_block}",
                detail=asdict(found) | {"removed": removed, "removed_in_all": len(false)},
            )
        )


def _unmoved(work: Work, found: RangeAudit, headers: Sequence[Header]) -> None:
    session, contracts = work.session, work.contracts
    cursor = cursors.find_cursor(session, contracts.chain_id, contracts.name)
    kept = hashes_between(session, contracts.chain_id, found.first_block, found.last_block)
    if cursor is None or cursor.next_block <= found.last_block:
        raise CursorMoved()
    if any(kept.get(header.number, header.hash) != header.hash for header in headers):
        raise CursorMoved()


def _write(work: Work, headers: Sequence[Header], missing: Sequence[Log]) -> None:
    session, contracts = work.session, work.contracts
    window = Window(tuple(headers), tuple(missing), 0)
    decoded, malformed = without_refused(work, window, *decode(contracts, window))
    timestamps = {header.number: header.timestamp for header in headers}
    events.insert_events(session, contracts.chain_id, missing, timestamps, malformed)
    made = created(contracts, missing) if contracts.factories else {}
    children.add(session, contracts.chain_id, protocol_of(contracts), made)
    for projection in work.own_projections() if decoded else ():
        projection.apply(session, decoded)
