"""/v1/auth: sign in, refresh, sign out, change the password; /v1/me."""

from __future__ import annotations

from typing import Any

from app.accounts.errors import RefreshReused, SignInRefused
from app.accounts.routes.caller import accounts, caller_id, caller_session_id, mark_changed
from app.accounts.schemas import LoginBody, MeSchema, PasswordBody, RefreshBody, TokensSchema
from app.accounts.services import sign_in as service
from app.accounts.services.users import get_user
from app.accounts.types import SignedIn
from app.core.clock import utc_now
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_origin, current_principal, public, require
from app.core.http.limits import spend_limit
from app.core.http.unit_of_work import commit_request, current_session

ANONYMOUS = "anonymous"

blueprint = Blueprint("auth", __name__, url_prefix="/v1/auth", description="Sign in with a password")
me_blueprint = Blueprint("me", __name__, url_prefix="/v1/me", description="Who is calling")


@blueprint.route("/login", methods=["POST"])
@public
@blueprint.arguments(LoginBody)
@blueprint.response(200, TokensSchema)
def login(body: dict[str, Any]) -> dict[str, Any]:
    """Sign in

    401 for any wrong pair alike; 429 with Retry-After after several failures of a login, or too many from an address.
    """
    spend_limit("sign_in")
    try:
        signed_in = service.sign_in(
            current_session(),
            passwords=accounts().passwords,
            login=body["login"],
            password=body["password"],
            lifetime=accounts().refresh_lifetime,
            origin=current_origin(ANONYMOUS),
            now=utc_now(),
        )
    except SignInRefused:
        commit_request()  # the attempt counts
        raise
    return _tokens(signed_in)


@blueprint.route("/refresh", methods=["POST"])
@public
@blueprint.arguments(RefreshBody)
@blueprint.response(200, TokensSchema)
def refresh(body: dict[str, Any]) -> dict[str, Any]:
    """Exchange a refresh token

    Each works once. One that is shown a second time was stolen from somebody, so its whole session ends.
    """
    claims = accounts().tokens.read_refresh(body["refresh_token"])
    try:
        signed_in = service.refresh(
            current_session(),
            claims,
            lifetime=accounts().refresh_lifetime,
            origin=current_origin(ANONYMOUS),
            now=utc_now(),
        )
    except RefreshReused:
        mark_changed(claims.session_id)
        commit_request()  # the revocation stands
        raise
    return _tokens(signed_in)


@blueprint.route("/logout", methods=["POST"])
@require()
@blueprint.response(204)
def logout() -> None:
    """Sign out

    Ends the session of the access token shown.
    """
    session_id = caller_session_id()
    mark_changed(session_id)
    service.sign_out(current_session(), session_id, origin=current_origin(), now=utc_now())


@blueprint.route("/password", methods=["POST"])
@require()
@blueprint.arguments(PasswordBody)
@blueprint.response(204)
def change_password(body: dict[str, Any]) -> None:
    """Change the password

    Ends every session of the user, this one too; API keys go on working.
    """
    caller_session_id()
    mark_changed(caller_id())
    try:
        service.change_password(
            current_session(),
            caller_id(),
            passwords=accounts().passwords,
            current=body["current_password"],
            new=body["password"],
            origin=current_origin(),
            now=utc_now(),
        )
    except SignInRefused:
        commit_request()  # the attempt counts
        raise


@me_blueprint.route("", methods=["GET"])
@require()
@me_blueprint.response(200, MeSchema)
def me() -> dict[str, Any]:
    """Who is calling"""
    principal = current_principal()
    user = get_user(current_session(), caller_id())
    return user._asdict() | {"scopes": sorted(principal.scopes), "method": principal.method}


def _tokens(signed_in: SignedIn) -> dict[str, Any]:
    tokens = accounts().tokens
    return {
        "access_token": tokens.access(signed_in),
        "refresh_token": tokens.refresh(signed_in),
        "token_type": "Bearer",
        "expires_in": tokens.access_seconds,
    }
