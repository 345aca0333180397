"""A signer as an operator sees it: look at it, resume it after a halt, reset its breaker."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Provider
from app.chain.adapters.transactions import read_market
from app.chain.errors import SignerNotFound
from app.chain.queries import alarms, signers
from app.chain.services.halts import BREAKER_OPEN, SIGNER_HALTED
from app.chain.types.sending import SignerState
from app.core.db import release


def get_signer(session: Session, chain_id: int, address: bytes) -> SignerState:
    """The signer's next nonce, halt and breaker; raises SignerNotFound before its first transaction."""
    state = signers.find(session, chain_id, address)
    if state is None:
        raise SignerNotFound()
    return state


def resume_signer(session: Session, *, rpc: Provider, chain_id: int, address: bytes) -> SignerState:
    """Lift a halt, after the other owner of the key is dealt with: nonces that the node counts as used, mined or
    pending, are passed over. Raises SignerNotFound, and the classes of chain.errors when the node fails."""
    get_signer(session, chain_id, address)
    release(session)
    market = read_market(rpc, address, 50)
    signers.resume(session, chain_id, address, max(market.latest_nonce, market.pending_nonce))
    alarms.resolve_alarm(session, chain_id, SIGNER_HALTED, address.hex())
    return get_signer(session, chain_id, address)


def reset_breaker(session: Session, *, chain_id: int, address: bytes, now: datetime) -> SignerState:
    """Close the signer's breaker; spending and reverts count afresh from now. Raises SignerNotFound."""
    get_signer(session, chain_id, address)
    signers.reset_breaker(session, chain_id, address, now)
    alarms.resolve_alarm(session, chain_id, BREAKER_OPEN, address.hex())
    return get_signer(session, chain_id, address)
