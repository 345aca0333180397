"""The shapes of accounts over HTTP."""

from __future__ import annotations

from marshmallow import fields, validate

from app.accounts.types import MAX_PASSWORD, Scope
from app.core.http.pages import page_schema
from app.core.http.schema import Int, StrictSchema, Text, Time, one_of
from app.core.paging import PageQuery

MAX_LOGIN = 254
MAX_KEY_NAME = 100
MAX_GRACE_SECONDS = 7 * 86_400


def scope_list() -> fields.List[str]:
    """A required list of scopes from the closed list."""
    return fields.List(Text(validate=one_of(*Scope)), required=True, validate=validate.Length(max=len(Scope)))


def password() -> Text:
    """A required password; its own rules are the service's."""
    return Text(required=True, load_only=True, validate=validate.Length(1, MAX_PASSWORD))


class LoginBody(StrictSchema):
    """Who signs in, and the proof."""

    login = Text(required=True, validate=validate.Length(1, MAX_LOGIN))
    password = password()


class RefreshBody(StrictSchema):
    """The refresh token to exchange; it works once."""

    refresh_token = Text(required=True, validate=validate.Length(1, 4096))


class PasswordBody(StrictSchema):
    """A change of the caller's own password, proved by the old one."""

    current_password = password()
    password = password()


class TokensSchema(StrictSchema):
    """Send the access token as `Authorization: Bearer`; the refresh token works once."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.String(required=True)
    expires_in = fields.Integer(required=True, metadata={"description": "seconds until the access token expires"})


class UserSchema(StrictSchema):
    """A user, without secrets."""

    id = fields.UUID(required=True)
    login = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    is_active = fields.Boolean(required=True)
    created_at = Time(required=True)
    last_login_at = Time(required=True, allow_none=True)


class MeSchema(UserSchema):
    """The caller, with the scopes of the credential shown, which may be fewer than the user's."""

    method = fields.String(required=True, validate=one_of("session", "api_key"))


class UserBody(StrictSchema):
    """A user to make."""

    login = Text(required=True, validate=validate.Length(1, MAX_LOGIN))
    password = password()
    scopes = scope_list()


class ScopesBody(StrictSchema):
    """All the scopes a user is to have: a replacement, not an addition."""

    scopes = scope_list()


class ApiKeyBody(StrictSchema):
    """An API key to make; without `expires_at` it lives until it is revoked."""

    name = Text(required=True, validate=validate.Length(1, MAX_KEY_NAME))
    scopes = scope_list()
    expires_at = Time(load_default=None, allow_none=True)


class RotateBody(StrictSchema):
    """How a key is given a new secret."""

    grace_seconds = Int(
        load_default=None,
        allow_none=True,
        validate=validate.Range(0, MAX_GRACE_SECONDS),
        metadata={"description": "how long the secret before still works"},
    )


class ApiKeySchema(StrictSchema):
    """An API key, without its secret."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    created_at = Time(required=True)
    expires_at = Time(required=True, allow_none=True)
    revoked_at = Time(required=True, allow_none=True)
    rotated_at = Time(required=True, allow_none=True)
    last_used_at = Time(required=True, allow_none=True, metadata={"description": "to the minute"})


class NewApiKeySchema(ApiKeySchema):
    """A key just made or rotated: the only answer that holds the secret."""

    key = fields.String(required=True, metadata={"description": "send as X-API-Key; never shown again"})


class AuditQuery(PageQuery):
    """Filters of the audit log."""

    actor = Text(load_default=None)
    action = Text(load_default=None)
    subject = Text(load_default=None)


class AuditEntrySchema(StrictSchema):
    """One change: who, what, to what, from where."""

    id = fields.UUID(required=True)
    at = Time(required=True)
    actor = fields.String(required=True)
    action = fields.String(required=True)
    subject = fields.String(required=True)
    ip = fields.String(required=True, allow_none=True)
    request_id = fields.String(required=True, allow_none=True)
    detail = fields.Dict(required=True)


UserPage = page_schema(UserSchema)
ApiKeyPage = page_schema(ApiKeySchema)
AuditPage = page_schema(AuditEntrySchema)
