"""Nonce gaps: a nonce that the chain waits for and nobody owns blocks every later one, so it is used for nothing."""

from __future__ import annotations

from app.chain.maths.tracking import missing_nonces
from app.chain.queries import attempts, intents, signers
from app.chain.services.halts import TRANSACTION_LOST, alarm, halt
from app.chain.services.run import Run
from app.chain.types.sending import Market
from app.core.db import new_id

FILL_GAP = "chain.fill_gap"


def fill_gaps(run: Run, market: Market) -> int:
    """Make an intent, a transfer of nothing to ourselves, for each nonce that blocks; returns how many, and commits.

    The sender leaves no gaps. They come from below: a reorg deeper than finality, a database restored from a backup, a
    pending transaction that was there before us and was dropped. A node behind what was seen before proves nothing,
    and a nonce that the node's pool can serve is no gap. More than `max_nonce_gap` at once are not gaps, but another
    chain.
    """
    state = signers.find(run.session, *run.key)
    if state is None or state.halt_reason is not None or run.policy.dry_run:
        return 0
    state = signers.lock(run.session, *run.key)
    owned = intents.live_nonces(run.session, *run.key)
    missing = missing_nonces(max(market.latest_nonce, market.pending_nonce), state.next_nonce, owned)
    filled = 0
    if missing and market.head >= state.seen_block:
        if len(missing) > run.policy.max_nonce_gap:
            halt(run, f"{len(missing)} nonces are missing on the chain", {"first_missing": missing[0]})
        else:
            filled = _fill(run, missing, market.head)
    run.commit()
    return filled


def _fill(run: Run, missing: tuple[int, ...], head: int) -> int:
    chain_id, signer = run.key
    for intent_id in attempts.mark_lost(run.session, chain_id, signer, missing):
        alarm(run, TRANSACTION_LOST, str(intent_id), {"reason": "a final transaction is no longer in the chain"})
    made = 0
    for nonce in missing:
        values = {
            "id": new_id(),
            "chain_id": chain_id,
            "signer": signer,
            "action": FILL_GAP,
            "subject": f"0x{signer.hex()}:{nonce}",
            "purpose": "use a nonce that blocks the ones after it",
            "nonce": nonce,
            "block": head,
            "now": run.now,
        }
        made += intents.insert_filler(run.session, values) is not None
    return made
