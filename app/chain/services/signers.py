"""A signer as an operator sees it: look at it, resume it after a halt, reset its breaker."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from app.chain.adapters.providers import Providers
from app.chain.adapters.transactions import read_market
from app.chain.errors import BreakerNotOpen, SignerNotFound, SignerNotHalted
from app.chain.queries import alarms, signers
from app.chain.services.halts import BREAKER_OPEN, SIGNER_HALTED
from app.chain.types.reading import SignerRow
from app.chain.types.sending import Ledger, SignerState
from app.core.db import release

ANY_PERCENTILE = 50


def get_signer(session: Session, chain_id: int, address: bytes) -> SignerState:
    """The signer's next nonce, halt and breaker; raises SignerNotFound before its first transaction."""
    state = signers.find(session, chain_id, address)
    if state is None:
        raise SignerNotFound()
    return state


def list_signers(session: Session, now: datetime) -> list[tuple[SignerRow, Ledger]]:
    """Every signer that ever sent, with what it spent, risked and saw reverted within the hour."""
    return [(row, signers.ledger(session, row, now)) for row in signers.list_all(session)]


def resume_signer(session: Session, *, providers: Providers, chain_id: int, address: bytes) -> SignerState:
    """Lift a halt, after the other owner of the key is dealt with: nonces that the node counts as used, mined or
    pending, are passed over. Raises SignerNotFound, SignerNotHalted, and the classes of chain.errors when no node
    answers."""
    if get_signer(session, chain_id, address).halt_reason is None:
        raise SignerNotHalted()
    release(session)
    _, market = providers.pin(partial(read_market, signer=address, tip_percentile=ANY_PERCENTILE))
    if not signers.resume(session, chain_id, address, max(market.latest_nonce, market.pending_nonce)):
        raise SignerNotHalted()
    alarms.resolve_alarm(session, chain_id, SIGNER_HALTED, address.hex())
    return get_signer(session, chain_id, address)


def reset_breaker(session: Session, *, chain_id: int, address: bytes, now: datetime) -> SignerState:
    """Close the signer's breaker; spending and reverts count afresh from now. Raises SignerNotFound, and
    BreakerNotOpen: counting afresh under a closed breaker would only lift the cap of the hour."""
    get_signer(session, chain_id, address)
    if not signers.reset_breaker(session, chain_id, address, now):
        raise BreakerNotOpen()
    alarms.resolve_alarm(session, chain_id, BREAKER_OPEN, address.hex())
    return get_signer(session, chain_id, address)
