"""Builds the API from settings: explicit lists of blueprints, adapters made once; nothing is found by scanning."""

from __future__ import annotations

import os

from flask import Flask

from app.accounts.adapters import Accounts
from app.accounts.adapters import from_settings as accounts_from_settings
from app.accounts.routes import BLUEPRINTS as ACCOUNTS_BLUEPRINTS
from app.accounts.services.authenticate import authenticate_key, authenticate_token
from app.chain.adapters import from_settings as chain_from_settings
from app.chain.queries.gauges import GAUGES as CHAIN_GAUGES
from app.chain.routes import BLUEPRINTS as CHAIN_BLUEPRINTS
from app.chain.routes.edge import ChainEdge
from app.chain.services.parts import load_protocols
from app.chain.services.rehearsal import read
from app.core.clock import utc_now
from app.core.db import make_engine
from app.core.failpoints import arm
from app.core.http.guard import Authenticator
from app.core.http.principal import Credentials, Principal
from app.core.http.shell import Shell, finish_shell, make_shell
from app.core.http.unit_of_work import current_session
from app.core.metrics import Metrics
from app.core.redis import make_redis
from app.jobs.adapters.wake import Waker
from app.jobs.queries.gauges import GAUGES as JOBS_GAUGES
from app.jobs.routes import BLUEPRINTS as JOBS_BLUEPRINTS
from app.jobs.routes.edge import JobsEdge
from app.jobs.services.backlog import Backlogs
from app.jobs.services.group_commit import GroupCommit
from app.jobs.services.reading import Waiters
from app.menu import MENU
from app.ops.routes import BLUEPRINTS as OPS_BLUEPRINTS
from app.ops.routes import OpsEdge
from app.oracle.adapters import from_settings as oracle_from_settings
from app.oracle.adapters.recent_updates import RecentUpdates
from app.oracle.queries.gauges import GAUGES as ORACLE_GAUGES
from app.oracle.routes import BLUEPRINTS as ORACLE_BLUEPRINTS
from app.oracle.services.read import aggregate_quotes, get_quotes
from app.oracle.services.transaction import latest_update
from app.perps.queries.gauges import GAUGES as PERPS_GAUGES
from app.perps.routes import BLUEPRINTS as PERPS_BLUEPRINTS
from app.perps.routes import PRICE_UPDATES
from app.perps.services.parts import Building, Seeing
from app.perps.services.protocols import perps_protocols
from app.streaming.adapters import public_url, tickets_from_settings
from app.streaming.routes import BLUEPRINTS as STREAMING_BLUEPRINTS
from app.streaming.routes.tickets import StreamingEdge
from config.logging import configure_logging
from config.settings import Settings, load_settings

BLUEPRINTS = (
    *JOBS_BLUEPRINTS,
    *ACCOUNTS_BLUEPRINTS,
    *CHAIN_BLUEPRINTS,
    *ORACLE_BLUEPRINTS,
    *PERPS_BLUEPRINTS,
    *STREAMING_BLUEPRINTS,
    *OPS_BLUEPRINTS,
)
GAUGES = (*JOBS_GAUGES, *CHAIN_GAUGES, *ORACLE_GAUGES, *PERPS_GAUGES)


def create_app(settings: Settings | None = None, *, authenticate: Authenticator | None = None) -> Flask:
    """The WSGI app; a test may hand in who answers for credentials."""
    if settings is None:  # granian's entry: this is a process of its own
        settings = load_settings()
        configure_logging(settings)
        arm(**settings.failpoint.model_dump())
    metrics = Metrics(GAUGES)
    app, api = make_shell(shell_of(settings), metrics=metrics)
    accounts = accounts_from_settings(app, settings)
    app.extensions |= {"metrics": metrics, "accounts": accounts, **edges(settings, metrics)}
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    finish_shell(app, api, authenticate=authenticate or authenticator(accounts))
    return app


def edges(settings: Settings, metrics: Metrics) -> dict[str, object]:
    """What the features' routes get beside the session: adapters, built once, and their limits."""
    broker = make_redis(settings.broker_url.get_secret_value())
    cache = make_redis(settings.cache_url.get_secret_value())
    token = settings.metrics_token
    oracle = oracle_from_settings(settings.oracle, cache, chain_id=settings.chain.chain_id)
    protocols = load_protocols(settings.chain.protocol_files, settings.chain.deployment_file, os.environ)
    perps = perps_protocols(protocols.values())
    providers = chain_from_settings(settings.chain, attempts=1)
    return {
        "jobs": JobsEdge(
            menu=MENU,
            together=GroupCommit(make_engine(settings.database_url.get_secret_value(), pool_size=1)),
            waker=Waker(broker, settings.jobs.wake_gap_seconds),
            waiters=Waiters(settings.http.threads),
            key_keep_hours=settings.jobs.key_keep_hours,
            wait_max_seconds=settings.http.wait_max_seconds,
            backlogs=Backlogs(settings.jobs.max_queued),
            callback_secret=settings.jobs.callback_secret.get_secret_value().encode(),
            allow_private_callbacks=settings.jobs.callback_allow_private,
        ),
        "chain": ChainEdge(settings.chain.chain_id, providers, protocols),
        "oracle": oracle,
        "perps": Seeing(
            protocols=perps,
            quotes=lambda session, now: [
                *get_quotes(session, rules=oracle.rules, now=now, cache=oracle.cache),
                *aggregate_quotes(session, oracle.rules, now),
            ],
        ),
        "perps_building": Building(
            protocols=perps,
            rules=oracle.rules,
            update=RecentUpdates(
                lambda feeds: latest_update(
                    oracle.source, feeds, trust=oracle.trust, window=oracle.window, clock=utc_now
                ),
                settings.oracle.update_cache_seconds,
            ),
            read=lambda call: read(providers.pinned(), call),
        ),
        "streaming": StreamingEdge(tickets_from_settings(settings), public_url(settings), settings.stream.max_topics),
        "ops": OpsEdge(
            broker=broker,
            cache=cache,
            metrics=metrics,
            metrics_token=token.get_secret_value() if token else None,
        ),
    }


def authenticator(accounts: Accounts) -> Authenticator:
    """What the guard asks: a bearer token's or an API key's principal."""

    def authenticate(credentials: Credentials) -> Principal:
        if credentials.api_key is not None:
            return authenticate_key(current_session(), accounts.standings, credentials.api_key, utc_now())
        claims = accounts.tokens.read_access(credentials.bearer or "")
        return authenticate_token(current_session, accounts.standings, claims)

    return authenticate


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
        named_limits={"sign_in": http.login_limit, PRICE_UPDATES: http.update_limit},
    )
