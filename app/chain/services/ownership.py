"""Another owner of the key: a nonce of ours that was used, finally, by a transaction we did not sign.

The proof is the transaction itself, found on the chain; missing receipts alone prove nothing, for nodes lose those.
Only with the proof does an intent get its second nonce.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.chain.adapters.transactions import find_nonce_owner
from app.chain.errors import BlockUnavailable
from app.chain.maths.tracking import NonceGone, Verdict
from app.chain.queries import signers, transitions
from app.chain.services.halts import halt
from app.chain.services.run import Run
from app.chain.services.verdicts import displace
from app.chain.types.sending import Sightings
from app.chain.types.transactions import Attempt, Intent

SEARCHES_A_TICK = 5


def name_owners(
    run: Run, verdicts: Sequence[tuple[Intent, Verdict]], competing: Sequence[Attempt], seen: Sightings
) -> int:
    """For each nonce that is gone without a hash of ours: find who used it, halt the signer, and displace the intent.

    Returns how many were displaced, and commits. A node too young to tell halts the signer as well; the intent then
    keeps its nonce, and the search is made again at each tick.
    """
    suspects = [intent for intent, found in verdicts if isinstance(found, NonceGone) and found.winner is None]
    ours = {attempt.hash for attempt in competing}
    displaced = 0
    for intent in suspects[:SEARCHES_A_TICK]:
        try:
            owner = _owner(run, intent, seen)
        except BlockUnavailable as unavailable:
            _halt_in_doubt(run, intent, unavailable)
            continue
        if owner is not None and owner not in ours:
            displaced += _displace(run, intent, owner)
    return displaced


def _owner(run: Run, intent: Intent, seen: Sightings) -> bytes | None:
    if intent.nonce is None or intent.reserved_block is None:
        return None
    high = max(0, seen.market.head - run.policy.confirmations)
    return find_nonce_owner(run.rpc, intent.signer, intent.nonce, min(intent.reserved_block, high), high)


def _displace(run: Run, intent: Intent, owner: bytes) -> bool:
    signers.lock(run.session, *run.key)
    facts = {"nonce": intent.nonce, "transaction_hash": "0x" + owner.hex(), "intent_id": str(intent.id)}
    halt(run, f"nonce {intent.nonce} was used by a transaction of another owner of the key", facts)
    displaced = displace(run, intent, owner)
    run.commit()
    return displaced


def _halt_in_doubt(run: Run, intent: Intent, unavailable: BlockUnavailable) -> None:
    signers.lock(run.session, *run.key)
    transitions.hold(run.session, intent.id, unavailable)
    halt(run, f"nonce {intent.nonce} was used, and the node keeps no state to tell by whom", {"nonce": intent.nonce})
    run.commit()
