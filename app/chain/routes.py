"""`/v1/chain`: how far the contract sets are indexed, the alarms about chains and nodes, and the audits."""

from __future__ import annotations

from typing import Any

from app.chain import schemas
from app.chain.services.reading import list_alarms, list_audits, list_progress
from app.core.http.blueprint import Blueprint
from app.core.http.guard import require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session
from app.core.paging import PageQuery

blueprint = Blueprint("chain", __name__, url_prefix="/v1/chain", description="The chain's indexer")
BLUEPRINTS = (blueprint,)


@blueprint.route("/contract-sets", methods=["GET"])
@require("chain:read")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, schemas.ContractSetPage)
def contract_sets(query: dict[str, Any]) -> Any:
    """How far each contract set is indexed, and how far behind the head."""
    body, headers = page_answer(list_progress(current_session(), cursor=query["cursor"], limit=query["limit"]))
    return body, 200, headers


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
