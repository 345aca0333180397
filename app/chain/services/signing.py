"""Third step: sign, and persist the bytes before any node sees them.

Signing happens outside the transaction; what is persisted is decided inside it, under the signer's lock. Bytes that
were not persisted are dropped and never sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.chain.errors import FeeCapReached, SpendCapReached
from app.chain.maths.fees import replacement_fees
from app.chain.maths.limits import has_room
from app.chain.maths.readiness import Held, Ready, fee_cap_wei
from app.chain.queries import attempts, signers, transitions
from app.chain.services.run import Run
from app.chain.types.sending import Ledger, UnsignedTransaction
from app.chain.types.transactions import Attempt, AttemptOutcome, Effect
from app.core.db import release
from app.core.failpoints import failpoint


def sign(run: Run, ready: Sequence[Ready]) -> list[Attempt]:
    """Sign the next attempt of each intent in `ready`, all of which own a nonce; returns those persisted, and commits.

    Where an attempt with the nonce exists, whoever signed it, the new one pays enough more to replace it.
    """
    if not ready:
        return []
    nonces = {_nonce(one) for one in ready}
    before: dict[int, Attempt] = {}
    for attempt in attempts.list_competing(run.session, *run.key, nonces):
        dearest = before.get(attempt.nonce)
        if dearest is None or attempt.fees.max_fee_wei > dearest.fees.max_fee_wei:
            before[attempt.nonce] = attempt
    numbers = attempts.last_numbers(run.session, [one.intent.id for one in ready])
    release(run.session)
    priced = [_priced(run, one, before) for one in ready]
    signed = [(one, _signed(run, one, numbers)) for one in priced if isinstance(one, Ready)]
    failpoint("sender.signed")
    persisted = _persist(run, signed, [one for one in priced if isinstance(one, Held)])
    run.commit()
    return persisted


def _priced(run: Run, one: Ready, before: dict[int, Attempt]) -> Ready | Held:
    """`one` at a price that replaces what competes; held where that would pass its cap."""
    rival = before.get(_nonce(one))
    if rival is None:
        return one
    try:
        fees = replacement_fees(rival.fees, one.fees, cap_wei=fee_cap_wei(one.intent, run.policy))
    except FeeCapReached as reached:
        return Held(one.intent, reached)
    return Ready(one.intent, one.gas_limit, fees)


def _nonce(one: Ready) -> int:
    if one.intent.nonce is None:
        raise ValueError(f"intent {one.intent.id} has no nonce to sign with")
    return one.intent.nonce


def _signed(run: Run, one: Ready, numbers: dict[UUID, int]) -> Attempt:
    intent = one.intent
    nonce = _nonce(one)
    call = intent.effect is Effect.CALL
    transaction = UnsignedTransaction(
        chain_id=intent.chain_id,
        nonce=nonce,
        to=intent.to if call else intent.signer,
        value_wei=intent.value_wei if call else 0,
        data=intent.data if call else b"",
        gas_limit=one.gas_limit,
        fees=one.fees,
    )
    signed = run.signer.sign(transaction)
    return Attempt(
        intent_id=intent.id,
        number=numbers.get(intent.id, 0) + 1,
        chain_id=intent.chain_id,
        signer=intent.signer,
        nonce=nonce,
        effect=intent.effect,
        hash=signed.hash,
        raw=signed.raw,
        gas_limit=one.gas_limit,
        fees=one.fees,
        created_at=run.now,
        first_broadcast_at=None,
        last_broadcast_at=None,
        outcome=AttemptOutcome.SIGNED,
        refusal=None,
    )


def _persist(run: Run, signed: Sequence[tuple[Ready, Attempt]], held: Sequence[Held]) -> list[Attempt]:
    state = signers.lock(run.session, *run.key)
    for waiting in held:
        transitions.hold(run.session, waiting.intent.id, waiting.error)
    if state.halt_reason is not None:
        return []
    ledger = signers.ledger(run.session, state, run.now)
    return [attempt for one, attempt in signed if _kept(run, one, attempt, ledger)]


def _kept(run: Run, one: Ready, attempt: Attempt, ledger: Ledger) -> bool:
    dearer_wei = max(0, one.max_cost_wei - (one.intent.max_cost_wei or 0))
    # A cancellation costs next to nothing and sets other nonces free: no cap may stand in its way.
    if attempt.effect is Effect.CALL and dearer_wei and not has_room(ledger, dearer_wei, run.policy):
        transitions.hold(run.session, one.intent.id, SpendCapReached(cost_wei=str(one.max_cost_wei)))
        return False
    moved = transitions.sign(
        run.session,
        attempt.intent_id,
        nonce=attempt.nonce,
        gas_limit=attempt.gas_limit,
        max_cost_wei=one.max_cost_wei,
        now=run.now,
    )
    return moved and attempts.insert(run.session, attempt)
