"""/v1/users: for administrators."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.accounts.routes.caller import accounts, mark_changed
from app.accounts.schemas import ScopesBody, UserBody, UserPage, UserSchema
from app.accounts.services import users as service
from app.accounts.types import Scope, User
from app.core.clock import utc_now
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_origin, require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session
from app.core.paging import PageQuery

blueprint = Blueprint("users", __name__, url_prefix="/v1/users", description="Who may sign in; for administrators")


@blueprint.route("", methods=["POST"])
@require(Scope.ADMIN)
@blueprint.arguments(UserBody)
@blueprint.response(201, UserSchema)
def create_user(body: dict[str, Any]) -> tuple[User, dict[str, str]]:
    """Add a user"""
    user = service.create_user(
        current_session(), passwords=accounts().passwords, **body, origin=current_origin(), now=utc_now()
    )
    return user, {"Location": f"/v1/users/{user.id}"}


@blueprint.route("", methods=["GET"])
@require(Scope.ADMIN)
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, UserPage)
def list_users(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """List the users, newest first"""
    return page_answer(service.list_users(current_session(), **query))


@blueprint.route("/<uuid:user_id>", methods=["GET"])
@require(Scope.ADMIN)
@blueprint.response(200, UserSchema)
def get_user(user_id: UUID) -> User:
    """Read a user"""
    return service.get_user(current_session(), user_id)


@blueprint.route("/<uuid:user_id>/deactivate", methods=["POST"])
@require(Scope.ADMIN)
@blueprint.response(200, UserSchema)
def deactivate_user(user_id: UUID) -> User:
    """Shut a user out

    Their tokens and keys stop at once; should the cache not answer, within `ACCOUNTS__REVOCATION_CACHE_SECONDS`.
    """
    mark_changed(user_id)
    return service.deactivate_user(current_session(), user_id, origin=current_origin(), now=utc_now())


@blueprint.route("/<uuid:user_id>/activate", methods=["POST"])
@require(Scope.ADMIN)
@blueprint.response(200, UserSchema)
def activate_user(user_id: UUID) -> User:
    """Let a user in again

    Their API keys work again; sessions do not come back.
    """
    mark_changed(user_id)
    return service.activate_user(current_session(), user_id, origin=current_origin())


@blueprint.route("/<uuid:user_id>/scopes", methods=["PUT"])
@require(Scope.ADMIN)
@blueprint.arguments(ScopesBody)
@blueprint.response(200, UserSchema)
def set_scopes(body: dict[str, Any], user_id: UUID) -> User:
    """Replace a user's scopes"""
    mark_changed(user_id)
    return service.set_scopes(current_session(), user_id, body["scopes"], origin=current_origin())
