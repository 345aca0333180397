"""What accounts needs beside Postgres: argon2, the token library and the cache, built once from settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from flask import Flask

from app.accounts.adapters.argon2 import Passwords
from app.accounts.adapters.jwt import Tokens
from app.accounts.adapters.standing_cache import StandingCache
from app.core.redis import make_redis
from config.groups import AccountsSettings
from config.settings import Settings

CACHE_TIMEOUT_SECONDS = 0.1


@dataclass(frozen=True)
class Accounts:
    """The adapters of accounts, and the two lengths of time that its routes hand on."""

    passwords: Passwords
    tokens: Tokens
    standings: StandingCache
    refresh_lifetime: timedelta
    key_grace: timedelta


def from_settings(app: Flask, settings: Settings) -> Accounts:
    """The adapters of one app, which the token library configures itself in."""
    own = settings.accounts
    return Accounts(
        passwords=passwords_from_settings(own),
        tokens=Tokens(
            app,
            secret=settings.jwt_secret_key.get_secret_value(),
            access_seconds=own.access_token_seconds,
            refresh_seconds=own.refresh_token_seconds,
        ),
        standings=standings_from_settings(settings),
        refresh_lifetime=timedelta(seconds=own.refresh_token_seconds),
        key_grace=timedelta(seconds=own.key_grace_seconds),
    )


def passwords_from_settings(own: AccountsSettings) -> Passwords:
    """The password hasher alone, for `manage.py user`."""
    return Passwords(
        time_cost=own.password_time_cost,
        memory_kib=own.password_memory_kib,
        parallelism=own.password_parallelism,
        at_once=own.password_threads,
    )


def standings_from_settings(settings: Settings) -> StandingCache:
    """The standing cache alone, for `manage.py user` to mark what it changed."""
    redis = make_redis(settings.cache_url.get_secret_value(), timeout_seconds=CACHE_TIMEOUT_SECONDS)
    return StandingCache(redis, trust_seconds=settings.accounts.revocation_cache_seconds)
