"""Signing and reading our tokens with flask-jwt-extended (HS256 and nothing else).

Needs the app's context, so only routes and the guard come here. The library's exceptions reach the handlers that it
installed in the app, and those answer our problems.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import Flask, Response
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, decode_token

from app.accounts.errors import TokenExpired, TokenInvalid, TokenRevoked
from app.accounts.types import Claims, SignedIn
from app.core.clock import utc_now
from app.core.errors import AppError, Unauthenticated
from app.core.http.problems import problem_response

ISSUER = "watchkeeper"
ALGORITHM = "HS256"
MAX_KNOWN_TOKENS = 10_000


class Tokens:
    """The two tokens of a session: a short access token and a refresh token that works once."""

    def __init__(self, app: Flask, *, secret: str, access_seconds: int, refresh_seconds: int) -> None:
        self.access_seconds = access_seconds
        self.refresh_seconds = refresh_seconds
        app.config |= {
            "JWT_COOKIE_CSRF_PROTECT": False,  # no cookies here, so no claim for them either
            "JWT_SECRET_KEY": secret,
            "JWT_ALGORITHM": ALGORITHM,
            "JWT_DECODE_ALGORITHMS": [ALGORITHM],
            "JWT_ENCODE_ISSUER": ISSUER,
            "JWT_DECODE_ISSUER": ISSUER,
            "JWT_TOKEN_LOCATION": ["headers"],
            "JWT_ACCESS_TOKEN_EXPIRES": timedelta(seconds=access_seconds),
            "JWT_REFRESH_TOKEN_EXPIRES": timedelta(seconds=refresh_seconds),
        }
        self._read_before: dict[str, Claims] = {}
        _answer_problems(JWTManager(app))

    def access(self, signed_in: SignedIn) -> str:
        """An access token of the session."""
        return str(create_access_token(str(signed_in.user_id), additional_claims={"sid": str(signed_in.session_id)}))

    def refresh(self, signed_in: SignedIn) -> str:
        """The refresh token whose id the session row holds."""
        claims = {"sid": str(signed_in.session_id), "jti": str(signed_in.refresh_id)}
        return str(create_refresh_token(str(signed_in.user_id), additional_claims=claims))

    def read_access(self, token: str) -> Claims:
        """What an access token says; raises TokenInvalid, or an exception that the app answers with 401.

        A signature stays what it is, so a token shown again is only asked whether its time is over.
        """
        known = self._read_before.get(token)
        if known is not None and utc_now() < known.expires_at:
            return known
        claims = self._read(token, "access")
        if len(self._read_before) >= MAX_KNOWN_TOKENS:
            self._read_before.clear()
        self._read_before[token] = claims
        return claims

    def read_refresh(self, token: str) -> Claims:
        """What a refresh token says; raises like `read_access`."""
        return self._read(token, "refresh")

    def _read(self, token: str, kind: str) -> Claims:
        claims = decode_token(token)
        if claims["type"] != kind:
            raise TokenInvalid(f"This is no {kind} token.")
        try:
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            return Claims(UUID(claims["sub"]), UUID(claims["sid"]), UUID(claims["jti"]), expires_at)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise TokenInvalid() from error


def _answer_problems(manager: JWTManager) -> None:
    """Each of the library's callbacks answers from the one catalogue."""
    manager.expired_token_loader(lambda *_: _problem(TokenExpired()))
    manager.revoked_token_loader(lambda *_: _problem(TokenRevoked()))
    manager.unauthorized_loader(lambda *_: _problem(Unauthenticated()))
    for loader in (
        manager.invalid_token_loader,
        manager.needs_fresh_token_loader,
        manager.token_verification_failed_loader,
        manager.user_lookup_error_loader,
    ):
        loader(lambda *_: _problem(TokenInvalid()))


def _problem(error: AppError) -> Response:
    return problem_response(error)
