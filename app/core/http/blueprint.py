"""The one kind of blueprint: strict arguments, and no view without a guard.

blueprint = Blueprint("markets", __name__, url_prefix="/v1/markets", description="...")

@blueprint.route("", methods=["GET"])
@require("perps:read")
@blueprint.arguments(MarketQuery, location="query")
@blueprint.response(200, MarketPage)
def list_markets(query): ...
"""

from __future__ import annotations

from typing import Any, NoReturn

import flask
import flask_smorest
from marshmallow import Schema, ValidationError
from webargs.core import missing
from webargs.flaskparser import FlaskParser

from app.core.errors import BodyTooLarge, InvalidInput, UnsupportedMediaType
from app.core.http.field_errors import field_errors, query_errors
from app.core.http.guard import guard_of
from app.core.http.json_body import parse_json
from app.core.http.schema import shared


class StrictParser(FlaskParser):
    """Webargs with strict JSON, 415 for another content type, and our errors."""

    def _raw_load_json(self, req: flask.Request) -> Any:
        raw = req.get_data(cache=True)
        # Werkzeug refuses a length that is too large, but cuts off a body that comes in chunks without a word.
        if req.content_length is None and req.max_content_length is not None and len(raw) >= req.max_content_length:
            raise BodyTooLarge()
        if req.mimetype == "application/json":
            return parse_json(raw)
        if req.mimetype or raw:
            raise UnsupportedMediaType()
        return missing  # no body at all: the schema says whether it can do without

    def handle_error(self, error: ValidationError, req: flask.Request, schema: Schema, **_options: Any) -> NoReturn:
        """Raise InvalidInput with pointers; webargs files the messages under their location."""
        ((location, messages),) = error.messages_dict.items()
        found = query_errors(messages) if location == "query" else field_errors(messages)
        raise InvalidInput(errors=found) from error


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose views are all guarded and whose arguments are all strict."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(self, schema: Any, **options: Any) -> Any:
        """Declare the view's arguments; of a schema class there is one instance, not one a request."""
        return super().arguments(shared(schema) if isinstance(schema, type) else schema, **options)

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **options: Any
    ) -> None:
        """Register a view; raises TypeError when a guard is not its outermost decorator."""
        if guard_of(view_func) is None:
            raise TypeError(f"{rule}: put @require(...) or @public directly under @blueprint.route")
        super().add_url_rule(rule, endpoint, view_func, *args, **options)
