"""What one look at the chain means for a live intent: pure decisions, applied by the watcher.

The law: a nonce is given up only when another transaction, by now final, has used it; so at most one transaction is
ever mined for an intent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.chain.errors import Underpriced
from app.chain.maths.fees import fresh_price_wei
from app.chain.types.sending import Receipt, SenderPolicy, Sightings
from app.chain.types.transactions import SENDABLE, Attempt, Effect, Intent, IntentStatus

ENOUGH = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to record: not mined yet, or not to be told from this node's view."""


@dataclass(frozen=True, slots=True)
class Mined:
    """In a block, but not deep enough."""

    attempt: Attempt
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Settled:
    """Deep enough: the intent ends with `status`."""

    attempt: Attempt
    receipt: Receipt
    status: IntentStatus


@dataclass(frozen=True, slots=True)
class ReorgedOut:
    """It was mined, and its block is no longer in the chain."""


@dataclass(frozen=True, slots=True)
class NonceGone:
    """Its nonce was used, finally, by something else: `winner` is an attempt of another intent of ours, or None when
    no hash of ours explains it and the owner must be looked for."""

    winner: Attempt | None


Verdict = Waiting | Mined | Settled | ReorgedOut | NonceGone


def verdict(intent: Intent, attempts: Sequence[Attempt], seen: Sightings, *, confirmations: int) -> Verdict:
    """What `seen` means for `intent`, whose nonce `attempts` (also those of other intents) compete for."""
    if intent.nonce is None:
        return Waiting()
    for attempt in attempts:
        receipt = seen.receipts.get(attempt.hash)
        if receipt is not None:
            return _of_receipt(intent, attempt, receipt, seen, confirmations)
    if intent.status is IntentStatus.MINED:
        # A node whose head is below the block we saw cannot say that the block is gone.
        behind = intent.block_number is not None and seen.market.head < intent.block_number
        return Waiting() if behind else ReorgedOut()
    if intent.nonce < seen.settled_nonce:
        return NonceGone(winner=None)
    return Waiting()


def _of_receipt(intent: Intent, attempt: Attempt, receipt: Receipt, seen: Sightings, confirmations: int) -> Verdict:
    if seen.canonical.get(receipt.block_number) != receipt.block_hash:
        return Waiting()  # a receipt of a block that is not, or no longer, in the chain: look again at the next tick
    settled = seen.market.head - receipt.block_number >= confirmations
    if attempt.intent_id != intent.id:
        return NonceGone(winner=attempt) if settled else Waiting()
    return Settled(attempt, receipt, end_of(attempt, receipt)) if settled else Mined(attempt, receipt)


def end_of(attempt: Attempt, receipt: Receipt) -> IntentStatus:
    """How an intent ends whose `attempt` is final."""
    if attempt.effect is Effect.CANCEL:
        return IntentStatus.CANCELLED
    return IntentStatus.FINAL if receipt.status == 1 else IntentStatus.REVERTED


def needs_replacement(intent: Intent, newest: Attempt, seen: Sightings, policy: SenderPolicy, now: datetime) -> bool:
    """Whether a signed intent is to be signed again, at a higher price or for nothing.

    Only the transaction whose turn it is, or one that the base fee has overtaken, is stuck: the others wait for a lower
    nonce, and paying more would not help them. Nor does it help one that offers ENOUGH times today's price: then it is
    the chain that stands still, and each bump would only raise the tip to be paid when it moves again.
    """
    if intent.status not in SENDABLE:
        return False
    if newest.refusal == Underpriced.code or newest.effect is not intent.effect:
        return True
    overtaken = (seen.market.base_fee_wei or 0) + policy.tip_floor_wei > newest.fees.max_fee_wei
    waited = now - newest.created_at >= timedelta(seconds=policy.replace_after_seconds)
    if newest.fees.max_fee_wei >= ENOUGH * fresh_price_wei(seen.market, policy.tip_floor_wei):
        return False
    return waited and (intent.nonce == seen.market.latest_nonce or overtaken)


def is_due_again(intent: Intent, newest: Attempt, policy: SenderPolicy, now: datetime) -> bool:
    """Whether a signed intent's bytes are to be sent (again): a node may have forgotten them. What is to be cancelled
    is not sent any more."""
    if intent.status not in SENDABLE or newest.effect is not intent.effect:
        return False
    sent_at = newest.last_broadcast_at
    return sent_at is None or now - sent_at >= timedelta(seconds=policy.rebroadcast_after_seconds)


def is_expired(intent: Intent, now: datetime) -> bool:
    """True once an intent is no longer wanted."""
    return intent.expires_at is not None and intent.expires_at <= now


def missing_nonces(latest_nonce: int, next_nonce: int, owned: frozenset[int]) -> tuple[int, ...]:
    """The nonces that the chain waits for and that no live intent owns; each of them blocks all that follow it."""
    return tuple(nonce for nonce in range(latest_nonce, next_nonce) if nonce not in owned)
