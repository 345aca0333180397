"""The body of `manage.py index`: an edge, so it commits. Needs a migrated database and a node, nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from threading import Event
from typing import TextIO

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.chain.adapters.providers import Providers
from app.chain.services.alarms import record_alarm
from app.chain.services.backfill import range_of
from app.chain.services.indexer import index
from app.chain.services.work import Work
from app.chain.types.blocks import ContractSet, Projection
from app.chain.types.indexing import IndexOptions, IndexReport
from app.core.errors import AppError
from app.core.logging import get_logger

log = get_logger(__name__)
FOLLOW_SECONDS = 0.2
FAILED_SECONDS = 1.0
PROGRESS_SECONDS = 2.0


def run_index(
    engine: Engine,
    providers: Providers,
    contracts: ContractSet,
    *,
    output: TextIO,
    progress: TextIO,
    stop: Event,
    options: IndexOptions,
    projections: Mapping[str, Sequence[Projection]],
    from_block: int | None = None,
    to_block: int | None = None,
    follow: bool = False,
    as_json: bool = False,
) -> IndexReport:
    """Index up to the node's head and say what it took; with `follow`, stay there until `stop` is set.

    A range (`from_block`, `to_block`, both counted in) has a cursor of its own beside the protocol's: given again it
    goes on where it ended, and it feeds no projections, since these take events in order. Raises the chain's errors;
    while following, a node that fails is waited for.
    """
    if from_block is not None or to_block is not None:
        contracts = range_of(contracts, from_block, to_block)
    total = IndexReport(chain_id=contracts.chain_id, contract_set=contracts.name)
    started = time.monotonic()
    with Session(engine) as session:
        work = Work(
            session=session,
            contracts=contracts,
            commit=session.commit,
            alarm=partial(record_alarm, engine),
            options=replace(options, max_seconds=PROGRESS_SECONDS),
            projections=projections,
        )
        wait: float | None = 0.0
        while wait is not None and not stop.wait(wait):
            wait = _tick(work, providers, to_block, follow, total)
            if total.behind:
                progress.write(f"block {total.next_block} of {total.head_block}, {total.rows} rows\n")
    seconds = time.monotonic() - started
    output.write(_as_json(total, seconds) if as_json else _as_text(total, seconds))
    return total


def _tick(work: Work, providers: Providers, to_block: int | None, follow: bool, total: IndexReport) -> float | None:
    """One call, added to `total`; how long to wait before the next, None when there is no next."""
    sent = providers.requests_sent
    try:
        total.add(index(work, providers, last_block=to_block))
    except AppError as error:
        if not (follow and error.retryable):
            raise
        log.warning("index_waits", code=error.code, detail=error.detail)
        work.session.rollback()
        total.requests += providers.requests_sent - sent
        return FAILED_SECONDS
    if total.behind:
        return 0.0
    return FOLLOW_SECONDS if follow else None


def _as_json(total: IndexReport, seconds: float) -> str:
    return json.dumps(asdict(total) | {"seconds": round(seconds, 3)}) + "\n"


def _as_text(total: IndexReport, seconds: float) -> str:
    lines = [
        f"{total.contract_set} on chain {total.chain_id}: block {total.next_block - 1} of {total.head_block}",
        f"{total.rows} new rows from {total.events} events in {total.blocks} blocks",
        f"{seconds:.2f} s, {total.requests} requests, {total.rewinds} reorgs healed",
    ]
    if total.malformed:
        lines.append(f"{total.malformed} events do not fit their ABI: see chain_events.decode_error")
    return "\n".join(lines) + "\n"
