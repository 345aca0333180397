"""Every tunable of Watchkeeper: typed, frozen, read from the environment or `.env`.

Read in the factory, in `tasks/base.py` and in the adapter builders only; what is below them gets values as arguments.
A nested value is set with two underscores: `JOBS__LEASE_SECONDS=10`.
"""

from __future__ import annotations

import os
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.groups import (
    DEVELOPMENT_SECRET,
    AccountsSettings,
    ChainSettings,
    FailpointSettings,
    FlowerSettings,
    HttpSettings,
    JobsSettings,
    OracleSettings,
    PerpsSettings,
    StreamSettings,
)

ENV_FILE = os.environ.get("ENV_FILE", ".env")
"""Beside the environment; empty: no file."""

MIN_SECRET_BYTES = 32
MIN_PASSWORD_MEMORY_KIB = 19_456  # OWASP's lowest for argon2id

# The local chain's own, and known to everyone: the first is anvil's second account, the other signs the price server's
# updates, with a key that stands in the sources.
DEVELOPMENT_SIGNER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
DEVELOPMENT_GUARDIAN = "0xbeFA429d57cD18b7F8A4d91A2da9AB4AF05d0FBe"


class Settings(BaseSettings):
    """The whole of the configuration; `load_settings()` builds it once at each process's edge."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", frozen=True, extra="ignore", env_file_encoding="utf-8", hide_input_in_errors=True
    )

    environment: Literal["development", "production"] = Field(
        "development", description="`production` refuses to start with unsafe values"
    )
    database_url: SecretStr = Field(
        SecretStr("postgresql+psycopg2://wk@127.0.0.1:5432/watchkeeper"), description="Postgres 15 or newer"
    )
    broker_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="the Redis that carries messages: `noeviction`, no Cluster"
    )
    cache_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6380/0"), description="another Redis, for what may be forgotten"
    )
    jwt_secret_key: SecretStr = Field(SecretStr(DEVELOPMENT_SECRET), description="signs the access and refresh tokens")
    metrics_token: SecretStr | None = Field(None, description="bearer token of /metrics; unset keeps it closed")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="the least that is logged")
    log_format: Literal["json", "console"] = Field("json", description="a line of JSON, or colours for a person")
    worker_concurrency: int = Field(2, ge=1, description="jobs at once in each worker")

    http: HttpSettings = HttpSettings()
    accounts: AccountsSettings = AccountsSettings()
    jobs: JobsSettings = JobsSettings()
    chain: ChainSettings = ChainSettings()
    oracle: OracleSettings = OracleSettings()
    perps: PerpsSettings = PerpsSettings()
    flower: FlowerSettings = FlowerSettings()
    stream: StreamSettings = StreamSettings()
    failpoint: FailpointSettings = FailpointSettings()

    @field_validator("database_url")
    @classmethod
    def _name_the_driver(cls, value: SecretStr) -> SecretStr:
        # SQLAlchemy 2.1 reads the short form, which hosts hand out, as psycopg 3.
        url = value.get_secret_value()
        for short in ("postgresql://", "postgres://"):
            if url.startswith(short):
                return SecretStr("postgresql+psycopg2://" + url.removeprefix(short))
        if not url.startswith("postgresql+psycopg2://"):
            raise ValueError("DATABASE_URL must be a postgresql:// URL")
        return value

    @field_validator("broker_url", "cache_url")
    @classmethod
    def _one_redis(cls, value: SecretStr) -> SecretStr:
        scheme = urlsplit(value.get_secret_value()).scheme
        if scheme not in ("redis", "rediss", "unix", "redis+socket", "sentinel"):
            raise ValueError("must be a redis:// or rediss:// URL; a Redis Cluster cannot be the broker")
        return value

    @model_validator(mode="after")
    def _refuse_unsafe_production(self) -> Settings:
        if self.environment == "production":
            problems = list(unsafe_values(self))
            if problems:
                raise ValueError("unsafe for production: " + "; ".join(problems))
        return self


def unsafe_values(settings: Settings) -> list[str]:
    """What a production start refuses, one clause each; empty means safe."""
    named = {
        "JWT_SECRET_KEY": settings.jwt_secret_key,
        "JOBS__CALLBACK_SECRET": settings.jobs.callback_secret,
        "FLOWER__PASSWORD": settings.flower.password,
    } | ({"METRICS_TOKEN": settings.metrics_token} if settings.metrics_token else {})
    found = [
        f"{name} is the development value or shorter than {MIN_SECRET_BYTES} bytes"
        for name, secret in named.items()
        if secret.get_secret_value() == DEVELOPMENT_SECRET or len(secret.get_secret_value()) < MIN_SECRET_BYTES
    ]
    if same_redis(settings.broker_url.get_secret_value(), settings.cache_url.get_secret_value()):
        found.append("BROKER_URL and CACHE_URL name the same Redis: the cache may evict, the broker must not")
    if settings.accounts.password_memory_kib < MIN_PASSWORD_MEMORY_KIB or settings.accounts.password_time_cost < 2:
        found.append(f"ACCOUNTS__PASSWORD_* is below {MIN_PASSWORD_MEMORY_KIB} KiB and two passes")
    if settings.failpoint.name is not None:
        found.append("FAILPOINT__NAME is set: it makes a process die")
    signer_key = settings.chain.signer_key
    if signer_key and signer_key.get_secret_value().removeprefix("0x").lower() == DEVELOPMENT_SIGNER_KEY[2:]:
        found.append("CHAIN__SIGNER_KEY is the local chain's, which everyone knows")
    if DEVELOPMENT_GUARDIAN.lower() in (signer.lower() for signer in settings.oracle.signers):
        found.append("ORACLE__SIGNERS trusts the local price server, whose key everyone knows")
    if settings.jobs.callback_allow_private:
        found.append("JOBS__CALLBACK_ALLOW_PRIVATE is on")
    if "*" in settings.http.trusted_hosts:
        found.append("HTTP__TRUSTED_HOSTS allows every host")
    if "*" in settings.http.cors_origins:
        found.append("HTTP__CORS_ORIGINS allows every origin")
    return found


def same_redis(one: str, other: str) -> bool:
    """True when both URLs reach one server, whatever database number they name."""
    left, right = urlsplit(one), urlsplit(other)
    return (left.hostname, left.port or 6379, left.path if left.scheme == "unix" else "") == (
        right.hostname,
        right.port or 6379,
        right.path if right.scheme == "unix" else "",
    )


def load_settings(env_file: str | None = ENV_FILE) -> Settings:
    """Read the environment, and `env_file` if there is one; raises ValidationError naming the variable."""
    return Settings(_env_file=env_file)
