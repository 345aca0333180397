"""Builds the API from settings: explicit lists of blueprints, adapters made once; nothing is found by scanning."""

from __future__ import annotations

from flask import Flask
from redis import Redis

from app.core.http.api import Api
from app.core.http.guard import Authenticator
from app.core.http.shell import Shell, finish_shell, make_shell
from app.core.metrics import Metrics
from app.core.redis import make_redis
from app.jobs.adapters.wake import Waker
from app.jobs.queries.gauges import GAUGES
from app.jobs.routes import jobs, schedules
from app.jobs.routes.edge import JobsEdge
from app.jobs.services.reading import Waiters
from app.menu import MENU
from app.ops import routes as ops
from app.ops.routes import OpsEdge
from config.settings import Settings, load_settings


def create_app(settings: Settings | None = None, *, authenticate: Authenticator) -> Flask:
    """The WSGI app."""
    settings = settings or load_settings()
    metrics = Metrics(GAUGES)
    app, api = make_shell(shell_of(settings), metrics=metrics)
    app.extensions["metrics"] = metrics
    broker = make_redis(settings.broker_url.get_secret_value())
    install_jobs(app, api, settings, broker)
    install_ops(app, api, settings, broker)
    finish_shell(app, api, authenticate=authenticate)
    return app


def install_ops(app: Flask, api: Api, settings: Settings, broker: Redis) -> None:
    """Health and metrics."""
    token = settings.metrics_token
    app.extensions["ops"] = OpsEdge(
        broker=broker,
        cache=make_redis(settings.cache_url.get_secret_value()),
        metrics=app.extensions["metrics"],
        metrics_token=token.get_secret_value() if token else None,
    )
    api.register_blueprint(ops.blueprint)


def install_jobs(app: Flask, api: Api, settings: Settings, broker: Redis) -> None:
    """The queue's routes, with every feature's menu of kinds."""
    app.extensions["jobs"] = JobsEdge(
        menu=MENU,
        waker=Waker(broker, settings.jobs.wake_gap_seconds),
        waiters=Waiters(settings.http.threads),
        key_keep_hours=settings.jobs.key_keep_hours,
        wait_max_seconds=settings.http.wait_max_seconds,
    )
    api.register_blueprint(jobs.blueprint)
    api.register_blueprint(schedules.blueprint)


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
