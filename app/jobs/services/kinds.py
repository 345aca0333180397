"""What a job kind takes, as a JSON Schema: for `/v1/job-kinds` and for the page of kinds."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from app.core.http.schema import look_of
from app.jobs.types import JobKind


def params_schema(kind: JobKind) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the kind's parameters, nested schemas inlined."""
    plugin = MarshmallowPlugin(schema_name_resolver=lambda _schema: False)  # type: ignore[arg-type, return-value]
    APISpec("kinds", "1", "3.1.0", plugins=[plugin])  # tells the plugin which JSON Schema dialect to speak
    plugin.converter.add_attribute_function(look_of)  # type: ignore[union-attr]
    found: dict[str, Any] = plugin.converter.schema2jsonschema(kind.params())  # type: ignore[union-attr]
    return found
