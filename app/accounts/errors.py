"""What can go wrong with users, tokens and keys."""

from __future__ import annotations

from app.core.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited, Unauthenticated


class SignInRefused(Unauthenticated):
    """The login or the password is wrong."""

    code = "accounts.sign_in_refused"


class SignInLocked(RateLimited):
    """Too many failed attempts for this login; wait before the next one."""

    code = "accounts.sign_in_locked"


class TokenInvalid(Unauthenticated):
    """The token is not valid."""

    code = "accounts.token_invalid"


class TokenExpired(Unauthenticated):
    """The token has expired."""

    code = "accounts.token_expired"


class TokenRevoked(Unauthenticated):
    """The token has been revoked; sign in again."""

    code = "accounts.token_revoked"


class RefreshReused(Unauthenticated):
    """This refresh token was used before, so its whole session has been revoked; sign in again."""

    code = "accounts.refresh_reused"


class KeyRefused(Unauthenticated):
    """The API key is not valid."""

    code = "accounts.key_refused"


class SessionRequired(Forbidden):
    """Sign in with a password for this; an API key will not do."""

    code = "accounts.session_required"


class ScopeBeyondOwn(Forbidden):
    """Nobody hands on more than they hold."""

    code = "accounts.scope_beyond_own"


class UserNotFound(NotFound):
    """There is no such user."""

    code = "accounts.user_not_found"


class KeyNotFound(NotFound):
    """There is no such API key."""

    code = "accounts.key_not_found"


class KeyNotLive(Conflict):
    """The API key has been revoked or has expired."""

    code = "accounts.key_not_live"


class LoginTaken(Conflict):
    """Another user has this login."""

    code = "accounts.login_taken"


class OwnAccount(Conflict):
    """An administrator does not lock themselves out; ask another one, or use the command line."""

    code = "accounts.own_account"


class WeakPassword(InvalidInput):
    """The password is too short, too long, or holds the login."""

    code = "accounts.weak_password"


class BadLogin(InvalidInput):
    """A login is an email address or a user name: letters, digits and . _ + -, in ASCII."""

    code = "accounts.bad_login"


class UnknownScope(InvalidInput):
    """There is no such scope."""

    code = "accounts.unknown_scope"
