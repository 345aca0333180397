"""The transaction sender: simulate, reserve the nonce, sign, persist the bytes, and only then send them.

Every step leaves its result in the rows, and commits before the next one acts on it; so whoever dies, the next to come
by goes on from the row. The work of N intents is three batches to the node and four commits, whatever N is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Provider
from app.chain.adapters.transactions import read_market
from app.chain.queries import attempts, intents
from app.chain.services.preparation import prepare
from app.chain.services.reservation import reserve
from app.chain.services.run import Run
from app.chain.services.sending import broadcast, newest_attempts
from app.chain.services.signing import sign
from app.chain.types.sending import Market, SenderPolicy
from app.chain.types.transactions import Attempt, Intent, IntentStatus
from app.core.db import release

if TYPE_CHECKING:  # eth_account costs every process that loads it half a second
    from app.chain.adapters.signer import Signer

UNSIGNED = frozenset({IntentStatus.PLANNED, IntentStatus.RESERVED})


def advance(
    session: Session,
    intent_ids: Sequence[UUID],
    *,
    rpc: Provider,
    signer: Signer,
    policy: SenderPolicy,
    now: datetime,
    commit: Callable[[], None],
) -> list[Intent]:
    """Take intents of `signer` as far as they can go now, at best to `broadcast`; returns them as they are then.

    Begins with a commit, so that what the caller planned is durable before anything is sent. An intent that does not
    move says why in its `error`; the watcher takes it further, so the caller need not come back. Safe to call twice,
    at once, and after a crash anywhere. Raises the classes of chain.errors when the node fails as a whole.
    """
    commit()
    run = Run(session, rpc, signer, policy, now, commit)
    found = [one for one in intents.list_by_ids(session, intent_ids) if (one.chain_id, one.signer) == run.key]
    signed = [one for one in found if one.status is IntentStatus.SIGNED and one.nonce is not None]
    competing = attempts.list_competing(session, *run.key, [one.nonce for one in signed if one.nonce is not None])
    release(session)
    unsigned = [one for one in found if one.status in UNSIGNED]
    market = read_market(rpc, signer.address, policy.tip_percentile) if unsigned else None
    drive(run, unsigned, newest_attempts(competing, [one.id for one in signed]), market)
    return intents.list_by_ids(session, intent_ids)


def drive(run: Run, to_sign: Sequence[Intent], to_send: Sequence[Attempt], market: Market | None) -> int:
    """Sign a new attempt for each of `to_sign` that may have one, and send those, and `to_send` where nothing newer
    was signed; returns how many were signed."""
    signed: list[Attempt] = []
    if market is not None:
        ready = prepare(run, to_sign, market)
        reserved = reserve(run, ready, market)
        signed = sign(run, [one for one in ready if one.intent.nonce is not None] + reserved)
    superseded = {attempt.intent_id for attempt in signed}
    again = [attempt for attempt in to_send if attempt.intent_id not in superseded]
    broadcast(run, sorted([*again, *signed], key=lambda attempt: attempt.nonce))
    return len(signed)
