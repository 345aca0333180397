"""`/v1/signers`: the keys that send, what holds them up, and the operators' hand on it."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from app.accounts.services.audit import record
from app.chain import schemas
from app.chain.errors import SignerNotFound
from app.chain.routes.edge import address_bytes, edge
from app.chain.services.signers import get_signer, list_signers, reset_breaker, resume_signer
from app.core.clock import utc_now
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_origin, require
from app.core.http.unit_of_work import current_session

blueprint = Blueprint("signers", __name__, url_prefix="/v1/signers", description="The keys that send")


@blueprint.route("", methods=["GET"])
@require("chain:read")
@blueprint.response(200, schemas.SignersSchema)
def list_all() -> Response:
    """Every signer: its next nonce, halt and breaker, what is under way, and what it spent within the hour."""
    return jsonify({"data": _dumped()})


@blueprint.route("/<address>/resume", methods=["POST"])
@require("ops:write")
@blueprint.response(200, schemas.SignerSchema)
def resume(address: str) -> Response:
    """Let a halted signer go on, once the other owner of its key is dealt with.

    Nonces that a node counts as used, mined or pending, are passed over. 409 when it is not halted.
    """
    session, key = current_session(), _key(address)
    reason = get_signer(session, edge().chain_id, key).halt_reason
    state = resume_signer(session, providers=edge().providers, chain_id=edge().chain_id, address=key)
    detail = {"halt_reason": reason, "next_nonce": state.next_nonce}
    record(session, current_origin(), "chain.signer_resume", f"signer:{address.lower()}", detail)
    return _shown(key)


@blueprint.route("/<address>/reset-breaker", methods=["POST"])
@require("ops:write")
@blueprint.response(200, schemas.SignerSchema)
def reset(address: str) -> Response:
    """Close a signer's breaker; spending and reverts count afresh from now. 409 when it is not open."""
    session, key = current_session(), _key(address)
    reason = get_signer(session, edge().chain_id, key).breaker_reason
    reset_breaker(session, chain_id=edge().chain_id, address=key, now=utc_now())
    detail = {"breaker_reason": reason}
    record(session, current_origin(), "chain.breaker_reset", f"signer:{address.lower()}", detail)
    return _shown(key)


def _key(address: str) -> bytes:
    """The address in a path; what is none is nobody's."""
    if schemas.is_address(address):
        return address_bytes(address)
    raise SignerNotFound()


def _shown(key: bytes) -> Response:
    wanted = (edge().chain_id, "0x" + key.hex())
    return jsonify(next(one for one in _dumped() if (one["chain_id"], one["address"]) == wanted))


def _dumped() -> list[dict[str, Any]]:
    signers = list_signers(current_session(), utc_now())
    return [schemas.SignerSchema().dump({"row": row, "ledger": ledger}) for row, ledger in signers]
