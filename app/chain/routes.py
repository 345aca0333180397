"""`/v1/chain`: how far the contract sets are indexed, and the alarms about chains and nodes; `/v1/events`: events."""

from __future__ import annotations

from typing import Any

from flask import current_app, request

from app.chain import schemas
from app.chain.services.event_list import list_events
from app.chain.services.reading import list_alarms, list_progress
from app.chain.types.event_list import EventFilter
from app.core.http.blueprint import Blueprint
from app.core.http.guard import require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session
from app.core.paging import PageQuery

blueprint = Blueprint("chain", __name__, url_prefix="/v1/chain", description="The chain's indexer")
event_blueprint = Blueprint("events", __name__, url_prefix="/v1/events", description="Contracts' events, decoded")
BLUEPRINTS = (blueprint, event_blueprint)


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


@event_blueprint.route("", methods=["GET"])
@require("chain:read")
@event_blueprint.arguments(schemas.EventQuery, location="query")
@event_blueprint.doc(
    parameters=[
        {
            "in": "query",
            "name": "arguments",
            "description": "`arg.<name>=value`, at most three, for indexed arguments of the event that is named",
            "style": "form",
            "explode": True,
            "schema": {
                "type": "object",
                "propertyNames": {"pattern": "^arg\\."},
                "additionalProperties": {"type": "string"},
            },
        }
    ]
)
@event_blueprint.response(200, schemas.EventPage)
def events(query: dict[str, Any]) -> Any:
    """Events of a protocol's contracts by their place in the chain, newest or oldest first.

    A page may be short, or empty, and have a next one: asking for arguments leaves out most of what is looked at.
    """
    asked = EventFilter(
        protocol=query["protocol"],
        contract=query["contract"],
        event=query["event"],
        from_block=query["from_block"],
        to_block=query["to_block"],
        arguments=_arguments(),
        newest_first=query["order"] == "newest",
    )
    page = list_events(
        current_session(), current_app.extensions["chain"], asked, cursor=query["cursor"], limit=query["limit"]
    )
    body, headers = page_answer(page)
    return body, 200, headers


def _arguments() -> dict[str, str]:
    prefix = schemas.EventQuery.free_names
    return {name.removeprefix(prefix): value for name, value in request.args.items() if name.startswith(prefix)}
