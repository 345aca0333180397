"""Two kinds for the storms: one pays through the sender, one is a tick of the watcher that may run beside others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from eth_utils.crypto import keccak
from marshmallow import fields

from app.chain.services.sender import advance
from app.chain.services.transactions import get_intent, plan_transaction
from app.chain.types.transactions import TERMINAL
from app.core.clock import utc_now
from app.core.http.schema import Int, StrictSchema, Text
from app.jobs.services.run import JobRun
from app.jobs.types import JobKind, Queue, Snoozed
from tasks.runtime import runtime

ACTION = "money.transfer"
LOOK_AGAIN_SECONDS = 1.0


class TransferParams(StrictSchema):
    """One payment a key, into the contract `target`.

    `persistent` pushes at every attempt; otherwise only the first one sends, and what it leaves is the watcher's, as
    with liquidations.
    """

    keys = fields.List(Int(), required=True)
    target = Text(required=True)
    persistent = fields.Boolean(load_default=False)
    expires_in_seconds = Int(load_default=None, allow_none=True)


class WatchParams(StrictSchema):
    """Nothing to say."""


TRANSFER = JobKind(
    name="money.transfer",
    summary="Pays.",
    params=TransferParams,
    queue=Queue.CHAIN,
    scope="jobs:write",
    timeout_seconds=120,
    max_attempts=100,
    backoff_seconds=0.2,
    backoff_cap_seconds=1.0,
)
WATCH = JobKind(
    name="money.watch",
    summary="One tick of the watcher.",
    params=WatchParams,
    queue=Queue.LIQUIDATION,
    scope="jobs:write",
    max_attempts=100,
    backoff_seconds=0.2,
    backoff_cap_seconds=1.0,
)
MONEY_KINDS = (TRANSFER, WATCH)


def amount_wei(key: int) -> int:
    """What the payment of `key` moves: no two sums of them are alike by chance."""
    return 10**12 + key * 1_000_003


def call_data(key: int) -> bytes:
    """`hit(key)`: the contract counts each key's calls."""
    return keccak(text="hit(uint256)")[:4] + key.to_bytes(32, "big")


def transfer(run: JobRun) -> dict[str, Any] | Snoozed:
    """Plan once, together with the job's knowledge of it; send; wait until each payment has ended."""
    planned = [UUID(found) for found in (run.cursor or {}).get("intents", ())]
    if not planned:
        planned = _plan(run)
        _send(run, planned)
    elif run.params["persistent"]:
        _send(run, planned)
    ended = [get_intent(run.session, intent_id) for intent_id in planned]
    if any(intent.status not in TERMINAL for intent in ended):
        return Snoozed(LOOK_AGAIN_SECONDS, "not final yet")
    return {intent.subject: str(intent.status) for intent in ended}


def _plan(run: JobRun) -> list[UUID]:
    context, now = runtime(), utc_now()
    lasting = run.params["expires_in_seconds"]
    planned = [
        plan_transaction(
            run.session,
            chain_id=context.settings.chain.chain_id,
            signer=context.signer.address,
            action=ACTION,
            subject=str(key),
            to=bytes.fromhex(run.params["target"]),
            data=call_data(key),
            value_wei=amount_wei(key),
            now=now,
            purpose="a test",
            expires_at=None if lasting is None else now + timedelta(seconds=lasting),
            job_id=run.claim.id,
        )
        for key in run.params["keys"]
    ]
    run.step({"intents": [str(intent_id) for intent_id in planned]})
    return planned


def _send(run: JobRun, planned: list[UUID]) -> None:
    context = runtime()
    advance(
        run.session,
        planned,
        rpc=context.chain.providers.pinned(),
        signer=context.signer,
        policy=context.sender_policy,
        now=utc_now(),
        commit=run.step,
    )
