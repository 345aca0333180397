"""/v1/stream-tickets, and /v1/stream, which leads there who can send a header: both are the API's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, current_app, redirect

from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_principal, require
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
    ticket, topics = _issue(body["topics"])
    return {"ticket": ticket, "url": edge().url + PATH, "topics": topics, "expires_in": edge().tickets.seconds}


@blueprint.route("/stream", methods=["GET"])
@require()
@blueprint.arguments(TopicsQuery, location="query")
@blueprint.response(307, description="to the stream, with a ticket that works once")
def lead_to_stream(query: dict[str, Any]) -> Response:
    """To the stream, for clients that send headers and follow redirects

    `Last-Event-ID` goes along, or `resume`.
    """
    ticket, _ = _issue(query["topic"])
    given = {"ticket": ticket} | ({"resume": query["resume"]} if query["resume"] else {})
    answer = redirect(f"{edge().url}{PATH}?{urlencode(given)}", 307)
    answer.headers["Cache-Control"] = "no-store"
    return current_app.make_response(answer)


def edge() -> StreamingEdge:
    """What the factory built."""
    built: StreamingEdge = current_app.extensions["streaming"]
    return built


def _issue(topics: Sequence[str]) -> tuple[str, list[str]]:
    return issue_ticket(current_session(), edge().tickets, current_principal(), topics, max_topics=edge().max_topics)
