"""Who may call a route: `@require("jobs:write")`, `@require()` for any signed-in caller, or `@public`.

One of them stands directly under `@blueprint.route`, and the blueprint refuses a view without. The order of a request
is: authenticate, spend the principal's rate limit, check the scope, refuse unexpected query parameters, then the view.
The factory injects the authenticator, so that core knows nothing of accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Flask, current_app, g, request
from marshmallow import fields

from app.core.errors import FieldError, Forbidden, InvalidInput, NotFound, Unauthenticated
from app.core.http.address import client_address
from app.core.http.principal import Credentials, Origin, Principal
from app.core.http.unit_of_work import commit_request

P = ParamSpec("P")
R = TypeVar("R")
View = Callable[P, R]
Authenticator = Callable[[Credentials], Principal]
Admission = Callable[[Principal], None]

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]


@dataclass(frozen=True)
class Guard:
    """What admits to a view: `None` scope with `signed_in` means any authenticated caller."""

    signed_in: bool
    scope: str | None = None


@dataclass(frozen=True)
class Gate:
    """The factory's two injections: who is it, and is there any of their rate limit left."""

    authenticate: Authenticator
    admit: Admission


def install_guard(app: Flask, *, authenticate: Authenticator, admit: Admission) -> None:
    """Hand the guard its authenticator and what counts a request against its principal (raises RateLimited)."""
    app.extensions["guard"] = Gate(authenticate, admit)


def require(scope: str | None = None) -> Callable[[View[P, R]], View[P, R]]:
    """Admit an authenticated caller who holds `scope`; documents the operation's security."""
    doc: dict[str, Any] = {"security": SECURITY}
    if scope is not None:
        doc["x-required-scope"] = scope
    return _guarded(Guard(signed_in=True, scope=scope), doc)


def public(view: View[P, R]) -> View[P, R]:
    """Admit everybody; said out loud, so that a forgotten guard is not mistaken for it."""
    return _guarded(Guard(signed_in=False), {"security": []})(view)


def guard_of(view: Any) -> Guard | None:
    """The guard of a view, when a guard is its outermost wrapper; else None."""
    guard, guarded = getattr(view, "_guard", (None, None))
    return guard if guarded is view else None


def current_principal() -> Principal:
    """The caller of this request, for routes only; raises Unauthenticated on a public route without one."""
    principal: Principal | None = g.get("principal")
    if principal is None:
        raise Unauthenticated()
    return principal


def confirm_principal() -> Principal:
    """The caller, authenticated once more: what was noted before this call is older than what it says."""
    gate: Gate = current_app.extensions["guard"]
    g.principal = gate.authenticate(_credentials())
    return current_principal()


def current_origin(actor: str | None = None) -> Origin:
    """What the audit log says of this request; `actor` for a route that has no principal yet (sign-in)."""
    return Origin(actor=actor or current_principal().id, ip=client_address(), request_id=g.get("request_id"))


def _guarded(guard: Guard, doc: dict[str, Any]) -> Callable[[View[P, R]], View[P, R]]:
    def decorate(view: View[P, R]) -> View[P, R]:
        expected = _query_fields(view)

        @wraps(view)
        def admitted(*args: P.args, **kwargs: P.kwargs) -> R:
            if guard.signed_in:
                _admit(guard.scope)
            _refuse_nul_in_path()
            _refuse_unexpected_query(expected)
            return view(*args, **kwargs)

        apidoc = deepcopy(getattr(view, "_apidoc", {}))
        apidoc["manual_doc"] = apidoc.get("manual_doc", {}) | doc
        admitted._apidoc = apidoc  # type: ignore[attr-defined]
        admitted._guard = (guard, admitted)  # type: ignore[attr-defined]
        return admitted

    return decorate


def _admit(scope: str | None) -> None:
    gate: Gate = current_app.extensions["guard"]
    principal = gate.authenticate(_credentials())
    commit_request()  # what authentication wrote (`last_used_at`) must not keep its row locked through the view
    g.principal = principal
    gate.admit(principal)
    if scope is not None and not principal.may(scope):
        raise Forbidden(f"This needs the scope {scope}.", required_scope=scope)


def _credentials() -> Credentials:
    """The bearer token or the API key; raises Unauthenticated for both at once, or for neither."""
    header = request.headers.get("Authorization", "").strip()
    api_key = request.headers.get("X-API-Key")
    if header and api_key is not None:
        raise Unauthenticated("Send a bearer token or an API key, not both.")
    if api_key is not None:
        return Credentials(api_key=api_key)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated()
    return Credentials(bearer=token.strip())


def _query_fields(view: Any) -> Mapping[str, bool]:
    """The query parameters the view declares, and whether each may be repeated."""
    declared: dict[str, bool] = {}
    for parameter in getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", []):
        if parameter["in"] == "query":
            schema = parameter["schema"]
            instance = schema() if isinstance(schema, type) else schema
            for name, field in instance.load_fields.items():
                declared[field.data_key or name] = isinstance(field, fields.List)
            if instance.free_names is not None:
                declared[f"{instance.free_names}*"] = False
    return declared


def _refuse_nul_in_path() -> None:
    """Postgres cannot hold a NUL, so nothing is called that."""
    if "\x00" in request.path:
        raise NotFound()


def _refuse_unexpected_query(expected: Mapping[str, bool]) -> None:
    found: list[FieldError] = []
    for name, values in request.args.lists():
        declared = name if name in expected else _family(expected, name)
        if declared is None:
            found.append({"pointer": f"?{name}", "detail": "Unknown query parameter."})
        elif len(values) > 1 and not expected[declared]:
            found.append({"pointer": f"?{name}", "detail": "Given more than once."})
    if found:
        raise InvalidInput(errors=found)


def _family(expected: Mapping[str, bool], name: str) -> str | None:
    """The declared `beginning.*` that the name belongs to."""
    return next((one for one in expected if one.endswith(".*") and name.startswith(one[:-1])), None)
