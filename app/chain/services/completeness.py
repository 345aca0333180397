"""Completeness: nodes answer with logs that are well-formed and not all of them. Holds an answer against the headers'
filters, suspicious blocks against the node asked by their hash, and blocks near the head and a sample of others against
their receipts, which their headers prove.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.chain.adapters.block_logs import read_block_logs, read_proven_logs
from app.chain.adapters.rpc import Provider
from app.chain.errors import MethodMissing, ReceiptsUnusable
from app.chain.maths.blooms import Masks, may_hold, missing_from, not_in_bloom, watch_masks
from app.chain.maths.completeness import Budget, Plan, cut_at, losses_of, plan_checks, repaired
from app.chain.services.work import Work
from app.chain.types.blocks import ContractSet, Header, Log
from app.chain.types.indexing import Alarm, Checked, CheckLimits, Window
from app.core.logging import get_logger

log = get_logger(__name__)
SHOWN_BLOCKS = 10


def complete(
    provider: Provider, contracts: ContractSet, window: Window, budget: Budget, *, settled: bool, limits: CheckLimits
) -> Checked:
    """The window with what its answer left out, or made up, put right. Asks only the node, and writes nothing.

    `settled`: the window is final. Calls stay within `budget` until a loss is proven: then the answer is worth nothing,
    and each of its blocks that may hold a log is read again by hash. Raises NodeInconsistent when receipts contradict
    their header, BlockUnavailable for a node that lags, and the node's other failures.
    """
    headers, contracts = window.headers, contracts.with_children(window.children)
    masks = watch_masks(contracts.pairs())
    held = tuple(header for header in headers if may_hold(header, masks)) if limits.blooms else headers
    suspects = _suspects(window, masks) if limits.blooms else cut_at(headers, window.logs)
    plan = plan_checks(window, budget, held=held, suspects=suspects, settled=settled, limits=limits)
    truth: dict[Header, Sequence[Log]] = {}
    unusable: str | None = None
    calls = len(plan.prove) + len(plan.reread)
    try:
        proven = read_proven_logs(provider, contracts, plan.prove, by_hash=limits.header_hashes)
        truth |= zip(plan.prove, proven, strict=True)
    except (MethodMissing, ReceiptsUnusable) as problem:
        unusable = problem.detail
        # Near the head only suspects are left to check, by hash; the calls for them were granted already.
        plan = (
            plan if settled else Plan((), tuple(header for header in plan.prove if header in suspects), plan.unchecked)
        )
        calls += len(plan.reread)
    truth |= zip(plan.reread, read_block_logs(provider, contracts, plan.reread), strict=True)
    losses = losses_of(window.logs, truth)
    if losses:
        rest = [header for header in dict.fromkeys((*held, *suspects)) if header not in truth]
        truth |= zip(rest, read_block_logs(provider, contracts, rest), strict=True)
        losses, calls = losses_of(window.logs, truth), calls + len(rest)
        window = repaired(window, truth)
    return Checked(window, losses, calls, 0 if losses else plan.unchecked, unusable)


def report_losses(work: Work, provider: Provider, checked: Checked) -> None:
    """Tell of what a check found, in transactions of their own."""
    if checked.losses:
        blocks = sorted(loss.block_number for loss in checked.losses)
        detail = {
            "blocks": blocks[:SHOWN_BLOCKS],
            "blocks_in_all": len(blocks),
            "missing": sum(loss.missing for loss in checked.losses),
            "invented": sum(loss.invented for loss in checked.losses),
        }
        log.error("logs_incomplete", node=provider.name, **detail)
        _alarm(work, "logs_incomplete", provider, detail)
    if checked.unusable is not None:
        _alarm(work, "receipts_unusable", provider, {"reason": checked.unusable})
    if checked.unchecked:
        log.warning("blocks_unchecked", node=provider.name, blocks=checked.unchecked)


def _suspects(window: Window, masks: Masks) -> tuple[Header, ...]:
    """The blocks whose filter and logs disagree, and where the list may have been cut; each once."""
    headers, logs = window.headers, window.logs
    found = missing_from(headers, logs, masks) + not_in_bloom(headers, logs) + cut_at(headers, logs)
    return tuple(dict.fromkeys(found))


def _alarm(work: Work, kind: str, provider: Provider, detail: dict[str, object]) -> None:
    contracts = work.contracts
    work.alarm(
        Alarm(
            chain_id=contracts.chain_id,
            contract_set=contracts.name,
            kind=kind,
            subject=f"{contracts.name} from {provider.name}",
            detail=detail,
        )
    )
