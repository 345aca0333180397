"""/openapi.json, and /docs: a page of every operation made on the server, without scripts or anything from outside."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, json, render_template_string

from app.core.http.api import Api
from app.core.http.guard import public

PAGES = Path(__file__).parent / "pages"
METHODS = ("get", "post", "put", "patch", "delete")
CACHE_CONTROL = "public, max-age=300"


def install_docs(app: Flask, api: Api) -> None:
    """Serve the document and its page; both are built once, at their first reading."""

    @cache
    def document() -> str:
        return json.dumps(api.spec.to_dict())

    @cache
    def page() -> str:
        template = (PAGES / "docs.html").read_text()
        return render_template_string(
            template, title=api.spec.title, version=api.spec.version, groups=_groups(document())
        )

    @public
    def openapi_json() -> Response:
        return _cacheable(Response(document(), mimetype="application/json"))

    @public
    def docs_page() -> Response:
        return _cacheable(Response(page(), mimetype="text/html"))

    @public
    def docs_style() -> Response:
        return _cacheable(Response((PAGES / "docs.css").read_text(), mimetype="text/css"))

    app.add_url_rule("/openapi.json", view_func=openapi_json)
    app.add_url_rule("/docs", view_func=docs_page)
    app.add_url_rule("/docs/docs.css", view_func=docs_style)


def _cacheable(response: Response) -> Response:
    response.headers["Cache-Control"] = CACHE_CONTROL
    return response


def _groups(document: str) -> list[dict[str, Any]]:
    """The document's operations by tag, in its order."""
    spec = json.loads(document)
    groups = {tag["name"]: {**tag, "operations": []} for tag in spec.get("tags", [])}
    for path, operations in spec["paths"].items():
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                groups[operation["tags"][0]]["operations"].append(_operation(path, method, operation, spec))
    return list(groups.values())


def _operation(path: str, method: str, operation: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "path": path,
        "method": method.upper(),
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "signed_in": bool(operation.get("security")),
        "scope": operation.get("x-required-scope"),
        "parameters": [parameter for parameter in operation.get("parameters", []) if "name" in parameter],
        "body": json.dumps(_resolve(body, spec), indent=2) if body else None,
        "responses": sorted(code for code in operation.get("responses", {}) if code != "default"),
    }


def _resolve(schema: dict[str, Any], spec: dict[str, Any]) -> Any:
    """The schema a reference names, one step: nested references stay names."""
    reference = schema.get("$ref")
    return spec["components"]["schemas"][reference.rsplit("/", 1)[-1]] if reference else schema
