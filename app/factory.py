"""Builds the API from settings: explicit lists of blueprints, adapters made once; nothing is found by scanning."""

from __future__ import annotations

from flask import Flask

from app.core.http.guard import Authenticator
from app.core.http.shell import Shell, finish_shell, make_shell
from app.core.metrics import Metrics
from config.settings import Settings, load_settings


def create_app(settings: Settings | None = None, *, authenticate: Authenticator) -> Flask:
    """The WSGI app."""
    settings = settings or load_settings()
    metrics = Metrics()
    app, api = make_shell(shell_of(settings), metrics=metrics)
    app.extensions["metrics"] = metrics
    finish_shell(app, api, authenticate=authenticate)
    return app


def shell_of(settings: Settings) -> Shell:
    """The HTTP edge's part of the settings."""
    http = settings.http
    return Shell(
        database_url=settings.database_url.get_secret_value(),
        cache_url=settings.cache_url.get_secret_value(),
        threads=http.threads,
        production=settings.environment == "production",
        trusted_hosts=http.trusted_hosts,
        trusted_proxies=http.trusted_proxies,
        cors_origins=http.cors_origins,
        max_body_bytes=http.max_body_bytes,
        address_limit=http.ip_limit,
        principal_limit=http.key_limit,
        named_limits={"sign_in": http.login_limit},
    )
