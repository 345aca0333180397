"""`/v1/events`: contracts' events, decoded by the present ABI."""

from __future__ import annotations

from typing import Any

from flask import request

from app.chain import schemas
from app.chain.routes.edge import edge
from app.chain.services.event_list import list_events
from app.chain.types.event_list import EventFilter
from app.core.http.blueprint import Blueprint
from app.core.http.guard import require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session

blueprint = Blueprint("events", __name__, url_prefix="/v1/events", description="Contracts' events, decoded")


@blueprint.route("", methods=["GET"])
@require("chain:read")
@blueprint.arguments(schemas.EventQuery, location="query")
@blueprint.doc(
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
@blueprint.response(200, schemas.EventPage)
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
    page = list_events(current_session(), edge().protocols, asked, cursor=query["cursor"], limit=query["limit"])
    body, headers = page_answer(page)
    return body, 200, headers


def _arguments() -> dict[str, str]:
    prefix = schemas.EventQuery.free_names
    return {name.removeprefix(prefix): value for name, value in request.args.items() if name.startswith(prefix)}
