"""`/v1/transactions`: what was to be done on the chain, and what was signed for it; never the signed bytes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, jsonify

from app.accounts.services.audit import record
from app.chain import schemas
from app.chain.routes.edge import address_bytes
from app.chain.services.transactions import cancel_transaction, get_intent, list_attempts, list_transactions
from app.chain.types.transactions import Intent, IntentFilter, IntentStatus
from app.core.clock import utc_now
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_origin, require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session

blueprint = Blueprint("transactions", __name__, url_prefix="/v1/transactions", description="What is sent to the chain")


@blueprint.route("", methods=["GET"])
@require("chain:read")
@blueprint.arguments(schemas.TransactionQuery, location="query")
@blueprint.response(200, schemas.TransactionPage)
def list_all(query: dict[str, Any]) -> Any:
    """Transactions, the newest first."""
    status, signer = query["status"], query["signer"]
    wanted = IntentFilter(
        status=None if status is None else IntentStatus(status),
        action=query["action"],
        subject=query["subject"],
        signer=None if signer is None else address_bytes(signer),
    )
    page = list_transactions(current_session(), wanted, cursor=query["cursor"], limit=query["limit"])
    body, headers = page_answer(page)
    return body, 200, headers


@blueprint.route("/<uuid:transaction_id>", methods=["GET"])
@require("chain:read")
@blueprint.response(200, schemas.TransactionDetailSchema)
def get(transaction_id: UUID) -> Response:
    """One transaction with every attempt: all of them share one nonce, unless another owner of the key has used it."""
    return _shown(get_intent(current_session(), transaction_id))


@blueprint.route("/<uuid:transaction_id>/cancel", methods=["POST"])
@require("chain:write")
@blueprint.response(202, schemas.TransactionDetailSchema)
def cancel(transaction_id: UUID) -> tuple[Response, int]:
    """Cancel it, unless it is mined already.

    Before it has a nonce that is done at once; after that a transfer of nothing takes its place, at the same nonce and
    a higher price, and whichever of the two is mined decides. 409 once it is mined or has ended.
    """
    session = current_session()
    before = get_intent(session, transaction_id)
    intent = cancel_transaction(session, transaction_id, now=utc_now())
    detail = {"action": intent.action, "subject": intent.subject, "was": before.status, "nonce": intent.nonce}
    record(session, current_origin(), "chain.transaction_cancel", f"transaction:{transaction_id}", detail)
    return _shown(intent), 202


def _shown(intent: Intent) -> Response:
    attempts = list_attempts(current_session(), intent.id)
    shown = schemas.TransactionDetailSchema(exclude=("attempts",)).dump(intent)
    return jsonify(shown | {"attempts": schemas.AttemptSchema(many=True).dump(attempts)})
