"""A page as every list answers it: `{data, next_cursor, has_more}`, and `Link: rel="next"` while there is more."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import request
from marshmallow import Schema, fields

from app.core.paging import Page


def page_schema(item: type[Schema]) -> type[Schema]:
    """The answer's schema for a list of `item`."""
    return type(
        item.__name__.removesuffix("Schema") + "Page",
        (Schema,),
        {
            "data": fields.List(fields.Nested(item), required=True),
            "next_cursor": fields.String(required=True, allow_none=True),
            "has_more": fields.Boolean(required=True),
        },
    )


def page_answer(page: Page[Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The body and the headers of a page; the link is relative, so it names no host."""
    body = {"data": page.items, "next_cursor": page.next_cursor, "has_more": page.next_cursor is not None}
    if page.next_cursor is None:
        return body, {}
    query = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    link = f"{request.path}?{urlencode([*query, ('cursor', page.next_cursor)])}"
    return body, {"Link": f'<{link}>; rel="next"'}
