"""/v1/api-keys: the caller's own keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from app.accounts.routes.caller import accounts, caller_id, mark_changed
from app.accounts.schemas import ApiKeyBody, ApiKeyPage, NewApiKeySchema, RotateBody
from app.accounts.services import api_keys as service
from app.accounts.types import NewKey, Scope
from app.core.clock import utc_now
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_origin, current_principal, require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session
from app.core.paging import PageQuery

blueprint = Blueprint("api-keys", __name__, url_prefix="/v1/api-keys", description="Keys for programs")


@blueprint.route("", methods=["POST"])
@require(Scope.ACCOUNTS_WRITE)
@blueprint.arguments(ApiKeyBody)
@blueprint.response(201, NewApiKeySchema)
def create_key(body: dict[str, Any]) -> dict[str, Any]:
    """Make a key

    Its scopes are at most those of the credential shown. The key itself is in this answer and nowhere else.
    """
    new = service.create_key(
        current_session(),
        caller_id(),
        principal=current_principal(),
        **body,
        origin=current_origin(),
        now=utc_now(),
    )
    return _shown(new)


@blueprint.route("", methods=["GET"])
@require()
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, ApiKeyPage)
def list_keys(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """List your keys, newest first"""
    return page_answer(service.list_keys(current_session(), caller_id(), **query))


@blueprint.route("/<uuid:key_id>/rotate", methods=["POST"])
@require(Scope.ACCOUNTS_WRITE)
@blueprint.arguments(RotateBody)
@blueprint.response(200, NewApiKeySchema)
def rotate_key(body: dict[str, Any], key_id: UUID) -> dict[str, Any]:
    """Give a key another secret

    The one before works for `grace_seconds` more, an hour unless the deployment says otherwise; 0 ends it at once.
    """
    grace = accounts().key_grace if body["grace_seconds"] is None else timedelta(seconds=body["grace_seconds"])
    mark_changed(key_id)
    new = service.rotate_key(
        current_session(),
        caller_id(),
        key_id,
        principal=current_principal(),
        grace=grace,
        origin=current_origin(),
        now=utc_now(),
    )
    return _shown(new)


@blueprint.route("/<uuid:key_id>", methods=["DELETE"])
@require(Scope.ACCOUNTS_WRITE)
@blueprint.response(204)
def revoke_key(key_id: UUID) -> None:
    """Revoke a key"""
    mark_changed(key_id)
    service.revoke_key(current_session(), caller_id(), key_id, origin=current_origin(), now=utc_now())


def _shown(new: NewKey) -> dict[str, Any]:
    return new.key._asdict() | {"key": new.secret}
