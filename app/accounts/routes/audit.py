"""/v1/audit: who changed what, for administrators."""

from __future__ import annotations

from typing import Any

from app.accounts.schemas import AuditPage, AuditQuery
from app.accounts.services import audit as service
from app.accounts.types import Scope
from app.core.http.blueprint import Blueprint
from app.core.http.guard import require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session

blueprint = Blueprint("audit", __name__, url_prefix="/v1/audit", description="Who changed what; for administrators")


@blueprint.route("", methods=["GET"])
@require(Scope.ADMIN)
@blueprint.arguments(AuditQuery, location="query")
@blueprint.response(200, AuditPage)
def list_entries(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """List the entries, newest first"""
    limit, cursor = query.pop("limit"), query.pop("cursor")
    return page_answer(service.list_entries(current_session(), limit=limit, cursor=cursor, filters=query))
