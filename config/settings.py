"""Every tunable of Watchkeeper: typed, frozen, read from the environment or `.env`.

Read in the factory, in `tasks/base.py` and in the adapter builders only; what is below them gets values as arguments.
A nested value is set with two underscores: `JOBS__LEASE_SECONDS=10`.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIN_SECRET_BYTES = 32
MIN_PASSWORD_MEMORY_KIB = 19_456  # OWASP's lowest for argon2id
DEVELOPMENT_SECRET = "development-only-secret-not-for-production"  # noqa: S105 - refused in production


class Group(BaseModel):
    """A group of settings; frozen, and a misspelt name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSettings(Group):
    """The API process."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    workers: int = Field(2, ge=1)
    threads: int = Field(16, ge=4)
    trusted_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: int = Field(0, ge=0, description="hops in front of the API that may set X-Forwarded-For")
    max_body_bytes: int = Field(256 * 1024, ge=1024)
    ip_limit: str = Field("300 per minute", description="requests per address, before authentication")
    key_limit: str = Field("1200 per minute", description="requests per principal, after authentication")
    login_limit: str = Field("10 per minute", description="sign-in attempts per address")
    wait_max_seconds: int = Field(30, ge=1, description="the most `Prefer: wait` is honoured")


class AccountsSettings(Group):
    """Tokens and passwords."""

    access_token_seconds: int = Field(900, ge=30)
    refresh_token_seconds: int = Field(14 * 86_400, ge=300)
    revocation_cache_seconds: int = Field(30, ge=0, description="how long a process may trust `not revoked`")
    password_time_cost: int = Field(3, ge=1, description="argon2id passes")
    password_memory_kib: int = Field(65_536, ge=8, description="argon2id memory")
    password_parallelism: int = Field(4, ge=1, description="argon2id lanes")
    password_threads: int = Field(4, ge=1, description="passwords hashed at once, each in its own memory")
    key_grace_seconds: int = Field(3600, ge=0, description="how long a rotated API key's old secret still works")


class JobsSettings(Group):
    """The durable queue. The lease bounds how long a killed worker's job stays unnoticed."""

    lease_seconds: float = Field(30.0, ge=1.0)
    poll_seconds: float = Field(0.05, ge=0.01, description="the dispatcher's net under lost wake-ups")
    wake_gap_seconds: float = Field(0.005, ge=0.0, description="at most one wake-up message in this time")
    window_min: int = Field(200, ge=1, description="published, unclaimed messages a queue: at least this many")
    window_per_worker: int = Field(4, ge=1, description="... or this many times its concurrency")
    resend_after_seconds: float = Field(2.0, ge=0.2)
    maintenance_seconds: float = Field(1.0, ge=0.1, description="rescue, expiry, archive: once in this time")
    archive_after_seconds: float = Field(3600.0, ge=0.0)
    archive_keep_days: int = Field(90, ge=1)
    key_keep_hours: int = Field(24, ge=1, description="how long an Idempotency-Key is remembered")
    max_crashes: int = Field(10, ge=1, description="expired leases after which a job is called poison")
    bulk_size: int = Field(50, ge=1)
    callback_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    callback_allow_private: bool = Field(False, description="development only: callbacks to private addresses")


class ChainSettings(Group):
    """The EVM chain this deployment follows."""

    chain_id: int = Field(31339, ge=1)
    rpc_urls: tuple[SecretStr, ...] = (SecretStr("http://127.0.0.1:8545"),)
    rpc_timeout_seconds: float = Field(10.0, gt=0)
    finality: str = Field("tag", description="`tag` (the node's finalized block) or `depth:<n>`")
    confirmations: int = Field(12, ge=1, description="blocks on top of a transaction before its intent is done")
    header_depth: int = Field(1024, ge=64, description="headers kept with parent links")
    max_range_blocks: int = Field(1000, ge=1)
    protocol_files: tuple[str, ...] = ()
    keystore_path: str | None = None
    keystore_password: SecretStr | None = None
    signer_key: SecretStr | None = Field(None, description="hex private key; a keystore is better")
    dry_run: bool = Field(False, description="the one send gate: true means nothing is broadcast")
    tip_floor_wei: int = Field(1_000_000_000, ge=0)
    max_fee_wei: int = Field(500_000_000_000, ge=1)
    max_spend_per_hour_wei: int = Field(10**18, ge=0)


class PriceRule(Group):
    """What an action asks of a price; an unset limit is not judged."""

    max_age_seconds: int | None = Field(60, ge=1)
    max_confidence_bps: int | None = Field(200, ge=1)


class FundingPriceRule(PriceRule):
    """Funding settles once an hour: it needs a tight price more than the very last one."""

    max_age_seconds: int | None = Field(300, ge=1)


class LiquidatePriceRule(PriceRule):
    """A scan only finds candidates; the transaction carries its own fresh update and the contract judges that."""

    max_age_seconds: int | None = Field(300, ge=1)
    max_confidence_bps: int | None = Field(None, ge=1)


class OracleSettings(Group):
    """Pyth through Hermes. Without signers nothing verifies and no price is recorded."""

    hermes_url: str = Field("https://pyth.dourolabs.app/hermes", pattern=r"^https?://[^\s?#]+$")
    hermes_api_key: SecretStr | None = None
    hermes_timeout_seconds: float = Field(5.0, gt=0, description="the whole of one request, from connect to last byte")
    signers: tuple[Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")], ...] = Field(
        (), description="addresses of the guardian or router set, in its own order"
    )
    signer_set_index: int | None = Field(None, ge=0, description="the guardian set's index; unset accepts any")
    signers_expire_at: AwareDatetime | None = Field(None, description="after this nothing of the set is accepted")
    quorum: int | None = Field(None, ge=1, description="unset: two thirds of the set plus one")
    emitter_chain: int = 26
    emitter: str = Field(
        "e101faedac5851e32b9b23b5f9411a8c2bac4aae3ed4dd7b811dd1a72ea4aa71", pattern=r"^[0-9a-fA-F]{64}$"
    )
    max_age_seconds: int = Field(60, ge=1, description="an update older than this is neither recorded nor sent")
    max_future_seconds: int = Field(5, ge=0)
    open: PriceRule = PriceRule()
    margin: PriceRule = PriceRule()
    liquidate: LiquidatePriceRule = LiquidatePriceRule()
    funding: FundingPriceRule = FundingPriceRule()
    cache_seconds: int = Field(10, ge=0, description="how long a read may come from the cache; 0 turns it off")
    history_months: int = Field(24, ge=1, description="whole months of price history that are kept")

    @model_validator(mode="after")
    def _quorum_within_the_set(self) -> OracleSettings:
        if self.signers and (self.quorum or 0) > len(self.signers):
            raise ValueError("quorum is larger than the signer set")
        return self


class PerpsSettings(Group):
    """Cadences and caps of funding, health and liquidation."""

    index_seconds: int = Field(5, ge=1)
    price_seconds: int = Field(10, ge=1)
    scan_seconds: int = Field(10, ge=1)
    funding_seconds: int = Field(3600, ge=10)
    max_liquidations_per_scan: int = Field(50, ge=1)


class FlowerSettings(Group):
    """Flower, read-only and behind a password."""

    port: int = Field(5555, ge=1, le=65535)
    user: str = "operator"
    password: SecretStr = SecretStr(DEVELOPMENT_SECRET)


class Settings(BaseSettings):
    """The whole of the configuration; `load_settings()` builds it once at each process's edge."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", frozen=True, extra="ignore", env_file_encoding="utf-8", hide_input_in_errors=True
    )

    environment: Literal["development", "production"] = "development"
    database_url: SecretStr = SecretStr("postgresql+psycopg2://wk@127.0.0.1:5432/watchkeeper")
    broker_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    cache_url: SecretStr = SecretStr("redis://127.0.0.1:6380/0")
    jwt_secret_key: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    metrics_token: SecretStr | None = Field(None, description="bearer token of /metrics; unset closes it in production")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    worker_queues: Annotated[tuple[str, ...], NoDecode] = ()
    worker_concurrency: int = Field(2, ge=1)

    http: HttpSettings = HttpSettings()
    accounts: AccountsSettings = AccountsSettings()
    jobs: JobsSettings = JobsSettings()
    chain: ChainSettings = ChainSettings()
    oracle: OracleSettings = OracleSettings()
    perps: PerpsSettings = PerpsSettings()
    flower: FlowerSettings = FlowerSettings()

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
    }
    found = [
        f"{name} is the development value or shorter than {MIN_SECRET_BYTES} bytes"
        for name, secret in named.items()
        if secret.get_secret_value() == DEVELOPMENT_SECRET or len(secret.get_secret_value()) < MIN_SECRET_BYTES
    ]
    if same_redis(settings.broker_url.get_secret_value(), settings.cache_url.get_secret_value()):
        found.append("BROKER_URL and CACHE_URL name the same Redis: the cache may evict, the broker must not")
    if settings.accounts.password_memory_kib < MIN_PASSWORD_MEMORY_KIB or settings.accounts.password_time_cost < 2:
        found.append(f"ACCOUNTS__PASSWORD_* is below {MIN_PASSWORD_MEMORY_KIB} KiB and two passes")
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


def load_settings(env_file: str | None = ".env") -> Settings:
    """Read the environment, and `env_file` if there is one; raises ValidationError naming the variable."""
    return Settings(_env_file=env_file)
