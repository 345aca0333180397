"""Recording a range that was read: headers, raw events, projections and the cursor, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from app.chain.errors import ForkSeen, MalformedEvent
from app.chain.queries import children, cursors, events, headers
from app.chain.queries.range_sizes import keep_size
from app.chain.services.children import protocol_of
from app.chain.services.work import Work
from app.chain.types.blocks import ContractSet, Event, Log
from app.chain.types.indexing import Alarm, Cursor, RangeSize, Window


def record(
    work: Work,
    cursor: Cursor,
    window: Window,
    *,
    head_block: int,
    final_block: int | None,
    provider: str,
    learned: RangeSize | None,
) -> tuple[Cursor, int, int]:
    """Write `window` from `cursor` on and commit; returns the cursor after it, the rows that are new, and how many
    events do not fit their ABI. `learned`: the size to ask this `provider` for from now on, where it changed.

    While history is missing below the cursor no projection is fed: they take events in order. Raises CursorMoved when
    somebody else moved the cursor meanwhile, and ForkSeen when blocks already kept differ from the window's: another
    contract set has seen another chain. Nothing is written then.
    """
    contracts = work.contracts.with_children(window.children)
    folded = work.own_projections() and not cursor.lacks_history
    found = decode(contracts, window) if folded else ([], check(contracts, window))
    write = partial(
        _write,
        work,
        cursor,
        window,
        head_block=head_block,
        final_block=final_block,
        provider=provider,
        learned=learned,
    )
    try:
        moved, rows = write(*found)
    except MalformedEvent:  # seldom, so only now the events are asked for one by one
        work.session.rollback()
        found = without_refused(work, window, *found)
        moved, rows = write(*found)
    errors = found[1]
    for alarm in _malformed(contracts, window, errors):
        work.alarm(alarm)
    return moved, rows, len(errors)


def _write(
    work: Work,
    cursor: Cursor,
    window: Window,
    decoded: Sequence[Event],
    errors: Mapping[int, str],
    *,
    head_block: int,
    final_block: int | None,
    provider: str,
    learned: RangeSize | None,
) -> tuple[Cursor, int]:
    session, contracts = work.session, work.contracts
    cursors.lock_chain(session, contracts.chain_id)
    _same_chain(work, window)
    moved = cursors.advance(
        session,
        cursor,
        next_block=window.last.number + 1,
        tip_hash=window.last.hash,
        tip_at=datetime.fromtimestamp(window.last.timestamp, UTC),
        head_block=head_block,
        final_block=final_block,
    )
    if learned is not None:
        keep_size(session, cursor, provider, learned)
    headers.insert_headers(session, contracts.chain_id, window.headers)
    children.add(session, contracts.chain_id, protocol_of(contracts), window.children)
    timestamps = {header.number: header.timestamp for header in window.headers}
    rows = events.insert_events(session, contracts.chain_id, window.logs, timestamps, errors)
    for projection in work.own_projections() if decoded else ():
        projection.apply(session, decoded)
    headers.prune_headers(session, contracts.chain_id, work.options.header_depth)
    work.commit()
    return moved, rows


def without_refused(
    work: Work, window: Window, decoded: Sequence[Event], errors: Mapping[int, str]
) -> tuple[list[Event], dict[int, str]]:
    """The same without the events that a projection of the set cannot fold in, and with why, by place."""
    places = {(log.block_number, log.log_index): place for place, log in enumerate(window.logs)}
    kept, errors = [], dict(errors)
    for event in decoded:
        reasons = [reason for one in work.own_projections() if (reason := one.refusal(event)) is not None]
        if reasons:
            errors[places[event.log.block_number, event.log.log_index]] = reasons[0]
        else:
            kept.append(event)
    return kept, errors


def decode(contracts: ContractSet, window: Window) -> tuple[list[Event], dict[int, str]]:
    """The window's watched events in order, and, by place among its logs, why some do not fit their ABI."""
    times = {header.number: datetime.fromtimestamp(header.timestamp, UTC) for header in window.headers}
    decoded: list[Event] = []
    errors: dict[int, str] = {}
    for place, log in enumerate(window.logs):
        watched = contracts.find(log)
        if watched is None:
            continue
        try:
            args = watched.decode(log)
        except MalformedEvent as error:
            errors[place] = error.detail
            continue
        decoded.append(Event(log, times[log.block_number], watched.contract, watched.name, args))
    return decoded, errors


def check(contracts: ContractSet, window: Window) -> dict[int, str]:
    """Why some of the window's watched events do not fit their ABI, by place: what `decode` finds, without values."""
    errors: dict[int, str] = {}
    for place, log in enumerate(window.logs):
        watched = contracts.find(log)
        try:
            if watched is not None:
                watched.check(log)
        except MalformedEvent as error:
            errors[place] = error.detail
    return errors


def _same_chain(work: Work, window: Window) -> None:
    kept = headers.hashes_between(work.session, work.contracts.chain_id, window.first, window.last.number)
    for header in window.headers:
        if kept.get(header.number, header.hash) != header.hash:
            raise ForkSeen(f"Block {header.number} differs from the one kept.", block_number=header.number)


def _malformed(contracts: ContractSet, window: Window, errors: Mapping[int, str]) -> Sequence[Alarm]:
    """One alarm a contract and event that did not fit, however many of it there were."""
    alarms: dict[str, Alarm] = {}
    for place, reason in errors.items():
        log = window.logs[place]
        watched = contracts.find(log)
        subject = f"{watched.contract}.{watched.name}" if watched else contracts.name
        alarms[subject] = malformed_alarm(contracts, log, subject, reason)
    return list(alarms.values())


def malformed_alarm(contracts: ContractSet, log: Log, subject: str, reason: str) -> Alarm:
    """An event that does not fit its ABI, or that a projection cannot fold in."""
    return Alarm(
        chain_id=contracts.chain_id,
        contract_set=contracts.name,
        kind="malformed_event",
        subject=subject,
        detail={"block_number": log.block_number, "log_index": log.log_index, "reason": reason},
    )
