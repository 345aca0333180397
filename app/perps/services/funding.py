"""Funding whose authority is the chain: our hourly job only sends the poke; a settlement is what the event says.

A round is fanned out into a job a market, so that one market's trouble holds up no other's; a market's jobs run one
after another, by their slots.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.services.history import sets_without_history
from app.chain.services.transactions import plan_transaction
from app.core.db import release
from app.core.errors import AppError
from app.jobs.services.enqueue import enqueue_all
from app.jobs.types import NewJob
from app.oracle.services.read import get_around
from app.oracle.types.prices import Action
from app.perps.errors import MarketNotFound
from app.perps.jobs import SETTLE_FUNDING as KIND
from app.perps.queries import keeper as queries
from app.perps.queries.markets import list_markets, markets_by_id
from app.perps.services.calls import contract_call, get_settling
from app.perps.services.parts import PerpsParts, Sending
from app.perps.services.protocols import get_protocol
from app.perps.services.updates import MarketUpdate, fetch_updates
from app.perps.types.keeper import SETTLE_FUNDING, subject
from app.perps.types.protocol import PerpsProtocol


def fan_out(
    session: Session, name: str | None, *, parts: PerpsParts, slot_at: datetime | None, principal: str
) -> list[UUID]:
    """Queue the settlement of every market of the named protocol, or of all; returns the jobs. Commits with the caller,
    so a round that is repeated after a crash has queued nothing before. O(markets). Where the chain settles, a
    deployment without a key has nothing to queue, and neither has a protocol without a keeper's calls; where we do, all
    markets of a protocol are one job. One whose history is being read is left out: its markets are not known.
    """
    protocols = parts.protocols if name is None else (get_protocol(parts.protocols, name),)
    unread = sets_without_history(session)
    asked: list[dict[str, str | None]] = []
    for protocol in protocols:
        if protocol.name in unread:
            continue
        if protocol.section.is_computed:
            asked.append({"protocol": protocol.name, "market": None})
        elif parts.sending is not None and protocol.section.keeper is not None:
            listed = list_markets(session, protocol.name)
            asked += [{"protocol": protocol.name, "market": market.market_id} for market in listed]
    jobs = [NewJob(kind=KIND, params=params, principal=principal, slot_at=slot_at) for params in asked]
    return [queued for queued in enqueue_all(session, jobs) if isinstance(queued, UUID)]


def plan_settlement(
    session: Session,
    name: str,
    market_id: str,
    *,
    parts: PerpsParts,
    clock: Callable[[], datetime],
    slot_at: datetime | None,
    job_id: UUID | None,
) -> UUID | None:
    """Plan the settlement of a market's funding; returns the intent, which is not sent yet, or None when the chain has
    settled since the slot. A slot is seen to once: who comes again gets the intent that was planned for it.

    Raises ProtocolNotFound, MarketNotFound, KeeperUnavailable, the oracle's failures (a price that is not good for
    funding) and the node's.
    """
    protocol = get_protocol(parts.protocols, name)
    get_settling(protocol)
    sending = parts.get_sending(session)
    market = markets_by_id(session, name, [market_id]).get(market_id)
    if market is None:
        raise MarketNotFound(f"{name} has no market {market_id[:100]}.")
    if slot_at is not None:
        known, planned = queries.find_slot(session, name, market_id, slot_at)
        if known:
            return planned
        if market.funding.settled_at >= slot_at:
            queries.record_slot(session, name, market_id, slot_at, intent_id=None, now=clock())
            return None
    around = get_around(session, parts.rules, clock())
    release(session)
    updates = fetch_updates(
        protocol, [market], action=Action.FUNDING, around=around, parts=parts, sending=sending, clock=clock
    )
    update = updates[market_id]
    if isinstance(update, AppError):
        raise update
    now = clock()
    intent_id = _plan(session, protocol, update, sending, parts, job_id, now)
    if slot_at is not None:
        queries.record_slot(session, name, market_id, slot_at, intent_id=intent_id, now=now)
    return intent_id


def forget_slot(session: Session, name: str, market_id: str, slot_at: datetime | None) -> None:
    """Take back that the slot was seen to: its transaction came to nothing."""
    if slot_at is not None:
        queries.forget_slot(session, name, market_id, slot_at)


def _plan(
    session: Session,
    protocol: PerpsProtocol,
    update: MarketUpdate,
    sending: Sending,
    parts: PerpsParts,
    job_id: UUID | None,
    now: datetime,
) -> UUID:
    market = update.market
    call = contract_call(protocol, get_settling(protocol), update)
    return plan_transaction(
        session,
        chain_id=protocol.chain_id,
        signer=sending.signer,
        action=SETTLE_FUNDING,
        subject=subject(protocol.name, market.market_id),
        purpose=f"settle the funding of {market.terms.symbol} on {protocol.name}",
        to=call.to,
        data=call.data,
        value_wei=call.value_wei,
        gas_ceiling=parts.caps.gas_ceiling,
        expires_at=update.view.published_at + timedelta(seconds=market.terms.max_price_age_seconds),
        job_id=job_id,
        now=now,
    )
