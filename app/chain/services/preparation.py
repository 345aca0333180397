"""First step of sending: ask the node whether each intent would succeed, at what gas and price, and sort them.

One batch for the market, one for the simulations, however many intents there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.chain.adapters.transactions import simulate
from app.chain.maths.readiness import Expired, Held, Readiness, Ready, Refused, readiness
from app.chain.queries import transitions
from app.chain.services.endings import end_rehearsed, end_unsent
from app.chain.services.halts import tell_of_funds
from app.chain.services.run import Run
from app.chain.types.sending import Market
from app.chain.types.transactions import Intent, IntentStatus


def prepare(run: Run, candidates: Sequence[Intent], market: Market) -> list[Ready]:
    """Those that may be signed now. The others are dealt with: ended where they own no nonce yet, to be replaced by a
    cancellation where they do, or left for a later look with the reason in their row."""
    if not candidates:
        return []
    simulations = simulate(run.rpc, candidates)
    looked_at = zip(candidates, simulations, strict=True)
    sorted_out = [readiness(intent, found, market, run.policy, run.now) for intent, found in looked_at]
    ready = [one for one in sorted_out if isinstance(one, Ready)]
    for one in sorted_out:
        _record(run, one)
    tell_of_funds(run, (one.error for one in sorted_out if isinstance(one, Held)))
    run.commit()
    return [] if run.policy.dry_run else ready


def _record(run: Run, one: Readiness) -> None:
    planned = one.intent.status is IntentStatus.PLANNED
    match one:
        case Ready() if run.policy.dry_run and planned:
            end_rehearsed(run, one)
        case Held(intent, error):
            transitions.hold(run.session, intent.id, error)
        case Refused(intent, error) if planned:
            end_unsent(run, intent, IntentStatus.FAILED, error)
        case Refused(intent, error):
            transitions.hold(run.session, intent.id, error)
            transitions.ask_cancel(run.session, intent.id, error.detail)
        case Expired(intent) if planned:
            end_unsent(run, intent, IntentStatus.CANCELLED)
        case Expired(intent):
            transitions.ask_cancel(run.session, intent.id, "expired")
