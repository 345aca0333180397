"""The audit: ranges of final blocks, one after the other and round again, read once more and compared with the tables.
What differs is proven by receipts where they can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.chain import errors
from app.chain.adapters.block_logs import read_block_logs, read_proven_logs
from app.chain.adapters.logs import read_headers, read_window
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.maths.blooms import may_hold, watch_masks
from app.chain.maths.completeness import Budget, differences
from app.chain.maths.forks import check_window
from app.chain.maths.ranges import after_refusal, first_size
from app.chain.maths.selection import created, matching
from app.chain.queries import audits, cursors
from app.chain.queries.providers import list_standings
from app.chain.queries.stored_events import logs_between
from app.chain.services.children import with_known
from app.chain.services.completeness import complete
from app.chain.services.ranges import TOO_MUCH
from app.chain.services.repair import repair
from app.chain.services.work import Work
from app.chain.types.blocks import Header, Log
from app.chain.types.indexing import Alarm
from app.chain.types.providers import RangeAudit
from app.core.db import release
from app.core.logging import get_logger

log = get_logger(__name__)

SECOND_PROVIDER, RECEIPTS = "second_provider", "receipts"


def audit(work: Work, providers: Providers, *, blocks: int) -> RangeAudit | None:
    """Audit the next `blocks` final blocks of `work.contracts`, after the last ones audited; None while none is final,
    and while history is missing: what is found then would be folded out of order.

    The last configured provider in good standing is asked, so that of several it is not the one that ticks prefer; a
    sole one is asked for the receipts of every block that may hold a watched log. Rows that are missing are written.
    Rows the chain has not are taken out where receipts prove it, and these a header of the row's own block hash; on a
    node's mere word they stay, and so do those that say a contract was made, for what was read of it is not undone.
    All in one transaction with the row that says so, and an alarm after it. Commits.

    Raises NodeBehind for a node that ends before the range, NodeInconsistent (after an alarm) for one of another chain,
    and for receipts or headers that do not fit; CursorMoved when a reorg rewound the range meanwhile, and the node's
    own failures.
    """
    span = _next_range(work, blocks)
    if span is None:
        return None
    first, last = span
    work = replace(work, contracts=with_known(work.session, work.contracts, last))
    provider, method = _auditor(work, providers)
    sent = provider.calls_sent
    if int(provider.call("eth_blockNumber", result=str), 16) < last:
        raise errors.NodeBehind(f"{provider.name} ends before block {last}.")
    stored = matching(work.contracts, logs_between(work.session, work.contracts, first, last))
    release(work.session)
    headers = _same_chain(work, provider, stored, first, last)
    suspects = (
        _differing(work, provider, headers, stored) if method == SECOND_PROVIDER else _held(work, headers, stored)
    )
    truth, proven = _truth(work, provider, suspects)
    missing, extra = differences(stored, truth)
    false = _without_creations(work, extra) if proven else []
    found = RangeAudit(
        first_block=first,
        last_block=last,
        provider=provider.name,
        method=method,
        rows_missing=len(missing),
        rows_extra=len(extra),
        rows_repaired=len(missing) + len(false),
        calls=provider.calls_sent - sent,
    )
    repair(work, found, headers, missing=missing, false=false)
    return found


def _next_range(work: Work, blocks: int) -> tuple[int, int] | None:
    session, contracts = work.session, work.contracts
    cursor = cursors.find_cursor(session, contracts.chain_id, contracts.name)
    if cursor is None or cursor.final_block is None or cursor.lacks_history:
        return None
    end = min(cursor.final_block, cursor.next_block - 1)
    if end < cursor.start_block:
        return None
    after = audits.last_audited(session, contracts.chain_id, contracts.name)
    first = cursor.start_block if after is None or not cursor.start_block <= after + 1 <= end else after + 1
    return first, min(first + blocks - 1, end)


def _auditor(work: Work, providers: Providers) -> tuple[Provider, str]:
    standings = list_standings(work.session, work.contracts.chain_id)
    release(work.session)
    avoided = {standing.provider for standing in standings if standing.avoided}
    usable = [provider for provider in providers if provider.name not in avoided]
    everyone = list(providers)
    return (usable or everyone)[-1], SECOND_PROVIDER if len(everyone) > 1 else RECEIPTS


def _same_chain(work: Work, provider: Provider, stored: Sequence[Log], first: int, last: int) -> list[Header]:
    """The range's headers, which the rows' blocks are among."""
    headers = read_headers(provider, range(first, last + 1))
    hashes = {header.number: header.hash for header in headers}
    other = sorted({row.block_number for row in stored if hashes[row.block_number] != row.block_hash})
    if other:
        _alarm(work, "audit_other_chain", provider, {"blocks": other[:10], "blocks_in_all": len(other)})
        raise errors.NodeInconsistent(f"{provider.name} has another block {other[0]} than the one indexed.")
    return headers


def _held(work: Work, headers: Sequence[Header], stored: Sequence[Log]) -> list[Header]:
    """The blocks that may hold a watched log, or of which there are rows."""
    masks = watch_masks(work.contracts.pairs())
    indexed = {row.block_hash for row in stored}
    with_filters = work.options.checks.blooms
    return [h for h in headers if h.hash in indexed or not with_filters or may_hold(h, masks)]


def _differing(work: Work, provider: Provider, headers: Sequence[Header], stored: Sequence[Log]) -> list[Header]:
    """The blocks whose logs are not the rows, as this provider has them; read in ranges as large as it takes."""
    known = {header.number: header for header in headers}
    number, last = headers[0].number, headers[-1].number
    limits, size = work.options.limits, first_size(work.options.limits)
    answered: set[Log] = set()
    budget = Budget(work.options.checks)
    while number <= last:
        end = min(last, number + size.blocks - 1)
        try:
            window = read_window(provider, work.contracts, first=number, last=end, known=known, settled=True)
            check_window(None, window.headers, window.logs)
            checked = complete(provider, work.contracts, window, budget, settled=True, limits=work.options.checks)
            answered |= set(checked.window.logs)
            number = end + 1
        except TOO_MUCH:
            if end == number:
                return list(headers)
            size = after_refusal(size, limits, asked_blocks=end - number + 1)
    differing = {one.block_hash for one in answered ^ set(stored)}
    return [header for header in headers if header.hash in differing]


def _truth(work: Work, provider: Provider, headers: Sequence[Header]) -> tuple[Mapping[Header, Sequence[Log]], bool]:
    """Their logs, by receipts where the chain and the node allow it; and whether their blocks' hashes prove them."""
    checks = work.options.checks
    try:
        if checks.receipts:
            logs = read_proven_logs(provider, work.contracts, headers, by_hash=checks.header_hashes)
            return dict(zip(headers, logs, strict=True)), checks.header_hashes
    except (errors.MethodMissing, errors.ReceiptsUnusable) as problem:
        log.warning("receipts_unusable", node=provider.name, reason=problem.detail)
    return dict(zip(headers, read_block_logs(provider, work.contracts, headers), strict=True)), False


def _without_creations(work: Work, rows: Sequence[Log]) -> list[Log]:
    contracts = replace(work.contracts, children={})
    return [row for row in rows if not created(contracts, [row])]


def _alarm(work: Work, kind: str, provider: Provider, detail: dict[str, object]) -> None:
    contracts = work.contracts
    work.alarm(
        Alarm(chain_id=contracts.chain_id, contract_set=contracts.name, kind=kind, subject=provider.name, detail=detail)
    )
