"""The OpenAPI 3.1 document: strict shapes, every error as a problem, both ways of signing in."""

from __future__ import annotations

import http
from typing import Any

import flask_smorest
from flask import Flask
from flask_smorest.utils import prepare_response
from marshmallow import INCLUDE, Schema, fields

from app.core.http import schema as shapes
from app.core.http.problems import MEDIA_TYPE

VERSION = "1.0.0"


class FieldProblem(Schema):
    """One bad field of a request."""

    pointer = fields.String(metadata={"description": "JSON pointer into the body, or `?name` of a query parameter"})
    detail = fields.String()


class Problem(Schema):
    """What every failure looks like (RFC 9457); some codes say more in members of their own."""

    class Meta:
        unknown = INCLUDE

    type = fields.String(required=True, metadata={"description": "stable URN of the code"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "`<feature>.<what>`"})
    retryable = fields.Boolean(required=True, metadata={"description": "true when the same request may succeed later"})
    request_id = fields.String(required=True, allow_none=True)
    errors = fields.List(fields.Nested(FieldProblem))


class Api(flask_smorest.Api):  # type: ignore[misc]
    """flask-smorest's Api with problem+json in the document; `app.core.http.problems` answers the errors themselves."""

    ERROR_SCHEMA = Problem

    def _register_error_handlers(self) -> None:
        """Nothing: `install_problems` holds every handler."""

    def _register_responses(self) -> None:
        for status in http.HTTPStatus:
            if status >= 400:
                self._document_error(status.name, status.phrase)
        self._document_error("DEFAULT_ERROR", "Any other failure")

    def _document_error(self, name: str, description: str) -> None:
        response: dict[str, Any] = {"description": description, "schema": self.ERROR_SCHEMA}
        prepare_response(response, self.spec, MEDIA_TYPE)
        self.spec.components.response(name, response, lazy=True)


def install_api(app: Flask) -> Api:
    """Make the Api; the factory registers the blueprints on it."""
    app.config |= {
        "API_TITLE": "Watchkeeper",
        "API_VERSION": VERSION,
        "OPENAPI_VERSION": "3.1.0",
    }
    api = Api(app)
    for field, kind, form in _FIELD_TYPES:
        api.register_field(field, kind, form)
    api.ma_plugin.converter.add_attribute_function(shapes.look_of)
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    api.spec.components.security_scheme("apiKey", {"type": "apiKey", "in": "header", "name": "X-API-Key"})
    return api


_FIELD_TYPES = (
    (shapes.WholeString, "string", None),
    (shapes.DecimalString, "string", None),
    (shapes.Time, "string", "date-time"),
)
