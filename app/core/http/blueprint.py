"""The one kind of blueprint: strict arguments, and no view without a guard.

blueprint = Blueprint("markets", __name__, url_prefix="/v1/markets", description="...")

@blueprint.route("", methods=["GET"])
@require("perps:read")
@blueprint.arguments(MarketQuery, location="query")
@blueprint.response(200, MarketPage)
def list_markets(query): ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn, Protocol, TypeVar

import flask
import flask_smorest
from marshmallow import Schema, ValidationError
from webargs.core import missing
from webargs.flaskparser import FlaskParser

from app.core.errors import InvalidInput, UnsupportedMediaType
from app.core.http.field_errors import field_errors, query_errors
from app.core.http.guard import guard_of
from app.core.http.json_body import parse_json

View = TypeVar("View", bound=Callable[..., Any])
Location = Literal["json", "query"]


class Decorator(Protocol):
    """What keeps a view's type."""

    def __call__(self, view: View) -> View:
        """The view, wrapped."""


class StrictParser(FlaskParser):
    """Webargs with strict JSON, 415 for another content type, and our errors."""

    def _raw_load_json(self, req: flask.Request) -> Any:
        if req.mimetype == "application/json":
            return parse_json(req.get_data(cache=True))
        if req.mimetype or req.get_data(cache=True):
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

    def route(self, rule: str, **options: Any) -> Decorator:
        """As flask-smorest's, with a type."""
        decorator: Decorator = super().route(rule, **options)
        return decorator

    def arguments(self, schema: type[Schema], *, location: Location = "json", **options: Any) -> Decorator:
        """The view's first argument: a body, or a query string."""
        decorator: Decorator = super().arguments(schema, location=location, **options)
        return decorator

    def response(self, status_code: int, schema: type[Schema] | None = None, **options: Any) -> Decorator:
        """The view's answer: a value for `schema`, alone or with headers, or a ready response."""
        decorator: Decorator = super().response(status_code, schema, **options)
        return decorator

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **options: Any
    ) -> None:
        """Register a view; raises TypeError when a guard is not its outermost decorator."""
        if guard_of(view_func) is None:
            raise TypeError(f"{rule}: put @require(...) or @public directly under @blueprint.route")
        super().add_url_rule(rule, endpoint, view_func, *args, **options)
