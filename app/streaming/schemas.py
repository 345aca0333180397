"""Tickets as HTTP shows them."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.core.http.schema import StrictSchema, Text

MAX_TOPIC = 300
TOPICS = {
    "description": "`prices:*`, `prices:<symbol or feed id>`, `markets:*`, `markets:<protocol>:<market>`,"
    " `positions:<address>`, `liquidations`, `candles:<protocol>:<market>:<interval>`, `jobs:<id>`"
}


class TopicsBody(StrictSchema):
    """What to subscribe to."""

    topics = fields.List(
        Text(validate=validate.Length(1, MAX_TOPIC)), required=True, validate=validate.Length(1), metadata=TOPICS
    )


class TopicsQuery(StrictSchema):
    """The same in a query: once for each topic."""

    topic = fields.List(
        Text(validate=validate.Length(1, MAX_TOPIC)), required=True, validate=validate.Length(1), metadata=TOPICS
    )
    resume = Text(load_default=None, validate=validate.Regexp("^[0-9]{1,18}$"))


class TicketSchema(Schema):
    """A ticket: it opens one stream."""

    ticket = fields.String(metadata={"description": "for `?ticket=` or as a bearer token; works once"})
    url = fields.String(metadata={"description": "where; SSE, and WebSocket by the same path"})
    topics = fields.List(fields.String(), metadata={"description": "as the stream will call them"})
    expires_in = fields.Integer(metadata={"description": "seconds in which it is to be used"})
