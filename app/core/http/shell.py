"""The Flask app before any feature: database, hooks in their order, limits, problems, documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask_cors import CORS
from flask_sqlalchemy import SQLAlchemy
from werkzeug.middleware.proxy_fix import ProxyFix

from app.core.db import Base, engine_options, ping_after_rest
from app.core.http.answer import Answer
from app.core.http.api import Api, install_api
from app.core.http.docs import install_docs
from app.core.http.guard import Authenticator, install_guard
from app.core.http.hosts import install_hosts
from app.core.http.limits import Limits, install_limits
from app.core.http.places import connections
from app.core.http.problems import install_problems
from app.core.http.request_log import install_request_log
from app.core.http.shedding import install_shedding
from app.core.http.unit_of_work import install_unit_of_work
from app.core.metrics import Metrics

CORS_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Prefer",
    "X-API-Key",
    "X-Request-ID",
)
CORS_ANSWER_HEADERS = (
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
)


@dataclass(frozen=True)
class Shell:
    """What the HTTP edge needs to know; the factory fills it from settings."""

    database_url: str = field(repr=False)
    cache_url: str = field(repr=False)
    threads: int
    production: bool
    trusted_hosts: tuple[str, ...]
    trusted_proxies: int
    cors_origins: tuple[str, ...]
    max_body_bytes: int
    address_limit: str
    principal_limit: str
    named_limits: dict[str, str]


class App(Flask):
    """Flask without coroutines: asking each function of each request whether it is one costs a fiftieth of the time."""

    response_class = Answer

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return func


def make_shell(shell: Shell, *, metrics: Metrics) -> tuple[Flask, Api]:
    """The app and its Api. `after_request` hooks run last-registered first: commit, limits, CORS, the access line."""
    app = App("watchkeeper", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = shell.max_body_bytes
    if shell.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=shell.trusted_proxies, x_proto=shell.trusted_proxies)  # type: ignore[method-assign]
    install_problems(app)
    install_request_log(app, metrics=metrics, production=shell.production)
    install_shedding(app, places=shell.threads)
    install_hosts(app, shell.trusted_hosts)
    _install_cors(app, shell.cors_origins)
    install_limits(
        app,
        cache_url=shell.cache_url,
        address=shell.address_limit,
        named={"principal": shell.principal_limit, **shell.named_limits},
    )
    _install_database(app, shell)
    install_unit_of_work(app)
    return app, install_api(app)


def finish_shell(app: Flask, api: Api, *, authenticate: Authenticator) -> None:
    """Close the app once the features' blueprints are on it."""
    limits: Limits = app.extensions["limits"]
    install_guard(app, authenticate=authenticate, admit=lambda principal: limits.spend("principal", principal.id))
    install_docs(app, api)


def _install_database(app: Flask, shell: Shell) -> None:
    app.config["SQLALCHEMY_DATABASE_URI"] = shell.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(connections(shell.threads))
    database = SQLAlchemy(app, metadata=Base.metadata, add_models_to_shell=False)
    with app.app_context():
        ping_after_rest(database.engine)


def _install_cors(app: Flask, origins: tuple[str, ...]) -> None:
    if origins:
        CORS(
            app,
            resources=r"/v1/.*",
            origins=list(origins),
            allow_headers=list(CORS_REQUEST_HEADERS),
            expose_headers=list(CORS_ANSWER_HEADERS),
            max_age=600,
        )
