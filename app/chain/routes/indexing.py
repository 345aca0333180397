"""`/v1/chain`: how far the contract sets are indexed, the audits, the alarms, and the operators' hand on them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.accounts.services.audit import record
from app.chain import schemas
from app.chain.routes.edge import edge
from app.chain.services.reading import list_alarms, list_audits, list_progress
from app.chain.services.resolving import resolve
from app.chain.services.resuming import resume_set
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_origin, require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session
from app.core.paging import PageQuery

blueprint = Blueprint("chain", __name__, url_prefix="/v1/chain", description="The chain's indexer")


@blueprint.route("/contract-sets", methods=["GET"])
@require("chain:read")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, schemas.ContractSetPage)
def contract_sets(query: dict[str, Any]) -> Any:
    """How far each contract set is indexed, and how far behind the head."""
    body, headers = page_answer(list_progress(current_session(), cursor=query["cursor"], limit=query["limit"]))
    return body, 200, headers


@blueprint.route("/contract-sets/<name>/resume", methods=["POST"])
@require("ops:write")
@blueprint.response(200, schemas.ContractSetSchema)
def resume_contract_set(name: str) -> Any:
    """Let indexing go on after a fork below finality, for all sets of the chain: one halt stopped them all.

    What they called final is forgotten, so that such a fork is rewound now. 409 when the set is not halted.
    """
    session, chain_id = current_session(), edge().chain_id
    before, after = resume_set(session, chain_id, name)
    detail = {"chain_id": chain_id, "halted_reason": before.halted_reason, "final_block": before.final_block}
    record(session, current_origin(), "chain.set_resume", f"contract_set:{name}", detail)
    return after


@blueprint.route("/alarms", methods=["GET"])
@require("chain:read")
@blueprint.arguments(schemas.AlarmQuery, location="query")
@blueprint.response(200, schemas.AlarmPage)
def alarms(query: dict[str, Any]) -> Any:
    """Forks below finality, nodes that lag or contradict themselves, events that do not fit their ABI."""
    page = list_alarms(
        current_session(), only_open=query["state"] == "open", cursor=query["cursor"], limit=query["limit"]
    )
    body, headers = page_answer(page)
    return body, 200, headers


@blueprint.route("/alarms/<uuid:alarm_id>/resolve", methods=["POST"])
@require("ops:write")
@blueprint.response(200, schemas.AlarmSchema)
def resolve_alarm(alarm_id: UUID) -> Any:
    """Say that an alarm is dealt with.

    409 when it is resolved already, or while its cause stands: a halted signer is resumed, and its alarm goes with it.
    """
    session = current_session()
    alarm = resolve(session, alarm_id)
    detail = {"kind": alarm.kind, "subject": alarm.subject, "count": alarm.count}
    record(session, current_origin(), "chain.alarm_resolve", f"alarm:{alarm_id}", detail)
    return alarm


@blueprint.route("/audits", methods=["GET"])
@require("chain:read")
@blueprint.arguments(schemas.AuditQuery, location="query")
@blueprint.response(200, schemas.AuditPage)
def audits(query: dict[str, Any]) -> Any:
    """Ranges that were read once more, and what was missing, newest first."""
    page = list_audits(
        current_session(), differing=query["found"] == "differences", cursor=query["cursor"], limit=query["limit"]
    )
    body, headers = page_answer(page)
    return body, 200, headers
