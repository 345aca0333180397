"""The watcher: one bounded tick that looks at every live intent of a signer, and takes each one step further.

The cost of a tick is O(live intents), in at most six batches to the node and as many commits, and nothing is asked
when nothing is live. It looks at every competing hash of a nonce, not only at the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Provider
from app.chain.adapters.transactions import read_market, read_sightings
from app.chain.maths.tracking import is_due_again, needs_replacement, verdict
from app.chain.queries import attempts, intents
from app.chain.services.gaps import FILL_GAP, fill_gaps
from app.chain.services.ownership import name_owners
from app.chain.services.run import Run
from app.chain.services.sender import UNSIGNED, drive
from app.chain.services.sending import newest_attempts
from app.chain.services.verdicts import record
from app.chain.types.sending import SenderPolicy, Sightings, WatchReport
from app.chain.types.transactions import Attempt, Intent
from app.core.db import release

if TYPE_CHECKING:  # eth_account costs every process that loads it half a second
    from app.chain.adapters.signer import Signer


def watch(
    session: Session,
    *,
    rpc: Provider,
    signer: Signer,
    policy: SenderPolicy,
    now: datetime,
    commit: Callable[[], None],
) -> WatchReport:
    """One tick for the intents of `signer`, lowest nonces first, at most `policy.max_live_intents` of them.

    Safe to run twice at once, and to die anywhere. Raises the classes of chain.errors when the node fails as a whole;
    what was recorded until then stands.
    """
    run = Run(session, rpc, signer, policy, now, commit)
    live, competing = _read(run)
    if not live:
        return WatchReport()
    market = read_market(rpc, signer.address, policy.tip_percentile)
    hashes = [attempt.hash for attempt in competing]
    seen = read_sightings(rpc, market, signer.address, hashes, confirmations=policy.confirmations)
    verdicts = [(one, verdict(one, rivals(one, competing), seen, confirmations=policy.confirmations)) for one in live]
    report = record(run, verdicts, seen)
    displaced = name_owners(run, verdicts, competing, seen)
    filled = fill_gaps(run, market)
    report = replace(report, displaced=report.displaced + displaced, filled=filled)
    return _act(run, seen, report)


def rivals(intent: Intent, competing: Sequence[Attempt]) -> list[Attempt]:
    """The attempts, of whichever intent, that compete for the intent's nonce."""
    return [attempt for attempt in competing if attempt.nonce == intent.nonce]


def _read(run: Run) -> tuple[list[Intent], list[Attempt]]:
    live = intents.list_live(run.session, *run.key, run.policy.max_live_intents)
    nonces = [one.nonce for one in live if one.nonce is not None]
    competing = attempts.list_competing(run.session, *run.key, nonces)
    release(run.session)
    return live, competing


def _act(run: Run, seen: Sightings, report: WatchReport) -> WatchReport:
    """Send, sign or replace what waits, from the rows as they are after the tick's findings."""
    live, competing = _read(run)
    newest = {attempt.intent_id: attempt for attempt in newest_attempts(competing, [one.id for one in live])}
    to_sign, to_send = [], []
    for one in live:
        last = newest.get(one.id)
        if last is None:
            to_sign += [one] if _is_left_behind(run, one) else []
            continue
        to_sign += [one] if needs_replacement(one, last, seen, run.policy, run.now) else []
        to_send += [last] if is_due_again(one, last, run.policy, run.now) else []
    signed = drive(run, to_sign, to_send, seen.market)
    return replace(report, live=len(live), signed=signed, resent=len(to_send))


def _is_left_behind(run: Run, intent: Intent) -> bool:
    """True for an unsigned intent that nobody seems to work on; a filler has nobody but us."""
    waited = run.now - intent.updated_at >= timedelta(seconds=run.policy.resume_after_seconds)
    return intent.status in UNSIGNED and (waited or intent.action == FILL_GAP)
