"""Recording what a tick has found, in one transaction under the signer's lock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from app.chain.errors import NonceTaken
from app.chain.maths.tracking import Mined, NonceGone, ReorgedOut, Settled, Verdict, is_expired
from app.chain.queries import attempts, signers, transitions
from app.chain.services.endings import emit_end, end_mined
from app.chain.services.run import Run
from app.chain.types.sending import Receipt, Sightings, WatchReport
from app.chain.types.transactions import Attempt, Effect, Intent, IntentStatus
from app.core.failpoints import failpoint


def record(run: Run, verdicts: Sequence[tuple[Intent, Verdict]], seen: Sightings) -> WatchReport:
    """Write each verdict, mark what has expired for cancellation, and commit. Returns the counts."""
    if all(intent.nonce is None for intent, _ in verdicts):
        return WatchReport()
    state = signers.lock(run.session, *run.key)
    signers.see_block(run.session, state, seen.market.head)
    counts = Counter(_apply(run, intent, found) for intent, found in verdicts)
    for intent, _ in verdicts:
        if is_expired(intent, run.now):
            transitions.ask_cancel(run.session, intent.id, "expired")
    failpoint("sender.confirm.before")
    run.commit()
    return WatchReport(
        mined=counts["mined"], ended=counts["ended"], reopened=counts["reopened"], displaced=counts["displaced"]
    )


def _apply(run: Run, intent: Intent, found: Verdict) -> str:
    match found:
        case Mined(attempt, receipt):
            return "mined" if _mine(run, intent, attempt, receipt) else ""
        case Settled(attempt, receipt, status):
            _mine(run, intent, attempt, receipt)
            return "ended" if end_mined(run, intent, attempt, receipt, status) else ""
        case ReorgedOut():
            attempts.unmine(run.session, intent.id)
            return "reopened" if transitions.reopen(run.session, intent.id, run.now) else ""
        case NonceGone(Attempt() as winner):
            attempts.mark_mined(run.session, winner)
            return "displaced" if displace(run, intent, winner.hash) else ""
        case _:
            return ""


def displace(run: Run, intent: Intent, owner: bytes) -> bool:
    """Take the nonce from an intent, because the final transaction `owner` has used it. It begins again with another
    nonce, unless it was to be used for nothing anyway."""
    if intent.nonce is None:
        return False
    attempts.mark_beaten(run.session, intent.chain_id, intent.signer, intent.nonce)
    ends = intent.effect is Effect.CANCEL
    error = NonceTaken(nonce=intent.nonce, transaction_hash="0x" + owner.hex())
    if not transitions.give_up_nonce(run.session, intent.id, intent.nonce, ends=ends, error=error, now=run.now):
        return False
    if ends:
        emit_end(run.session, intent, IntentStatus.CANCELLED, error=error)
    return True


def _mine(run: Run, intent: Intent, attempt: Attempt, receipt: Receipt) -> bool:
    """Record an inclusion that is new; the same one seen again costs no write."""
    known = intent.status is IntentStatus.MINED and intent.transaction_hash == receipt.transaction_hash
    if known and intent.block_hash == receipt.block_hash:
        return False
    if not transitions.mine(run.session, intent.id, receipt, run.now):
        return False
    attempts.mark_mined(run.session, attempt)
    return True
