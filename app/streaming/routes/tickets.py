"""/v1/stream-tickets, and /v1/stream, which leads there who can send a header: both are the API's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import current_app

from app.core.http.blueprint import Blueprint
from app.core.http.guard import confirm_principal, require
from app.core.http.unit_of_work import current_session
from app.streaming.adapters.tickets import Tickets
from app.streaming.schemas import TicketSchema, TopicsBody, TopicsQuery
from app.streaming.services.tickets import issue_ticket

PATH = "/v1/stream"

blueprint = Blueprint("streaming", __name__, url_prefix="/v1", description="Live events, by SSE and WebSocket")


@dataclass(frozen=True)
class StreamingEdge:
    """What the factory hands these routes; `url` is where clients reach the `stream` role."""

    tickets: Tickets
    url: str
    max_topics: int


@blueprint.route("/stream-tickets", methods=["POST"])
@require()
@blueprint.arguments(TopicsBody)
@blueprint.response(201, TicketSchema)
def make_ticket(body: dict[str, Any]) -> dict[str, Any]:
    """A ticket for one stream

    It carries what the stream may tell, works once, and only for seconds. Each topic needs the scope of its route
    (`oracle:read`, `perps:read`, `jobs:read`); another's job is not found.
    """
    return _issue(body["topics"], "/topics")


@blueprint.route("/stream", methods=["GET"])
@require()
@blueprint.arguments(TopicsQuery, location="query")
@blueprint.response(307, TicketSchema, description="to the stream, with a ticket that works once")
def lead_to_stream(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """To the stream, for clients that send headers and follow redirects

    `Last-Event-ID` goes along, or `resume`.
    """
    made = _issue(query["topic"], "?topic")
    given = {"ticket": made["ticket"]} | ({"resume": query["resume"]} if query["resume"] else {})
    return made, {"Location": f"{made['url']}?{urlencode(given)}", "Cache-Control": "no-store"}


def edge() -> StreamingEdge:
    """What the factory built."""
    built: StreamingEdge = current_app.extensions["streaming"]
    return built


def _issue(names: Sequence[str], pointer: str) -> dict[str, Any]:
    ticket, topics = issue_ticket(
        current_session(),
        edge().tickets,
        confirm_principal,
        names,
        pointer=pointer,
        max_topics=edge().max_topics,
    )
    return {"ticket": ticket, "url": edge().url + PATH, "topics": topics, "expires_in": edge().tickets.seconds}
