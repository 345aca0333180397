"""The groups of settings, a feature each; `config/settings.py` puts them together and reads them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, SecretStr, field_validator, model_validator

from config.group import Group
from config.oracle import AggregationSettings, SequencerSettings, SourcesSettings

DEVELOPMENT_SECRET = "development-only-secret-not-for-production"  # noqa: S105 - refused in production


class HttpSettings(Group):
    """The API process."""

    host: str = Field("127.0.0.1", description="the address the API listens on")
    port: int = Field(8000, ge=1, le=65535, description="its port")
    workers: int = Field(2, ge=1, description="processes of the API")
    threads: int = Field(16, ge=4, description="requests served at once in each of them; a quarter may wait for jobs")
    trusted_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "[::1]"), description="Host headers that are answered; `*` is every one"
    )
    cors_origins: tuple[str, ...] = Field((), description="origins whose pages may call; none: no CORS headers")
    trusted_proxies: int = Field(0, ge=0, description="hops in front of the API that may set X-Forwarded-For")
    max_body_bytes: int = Field(256 * 1024, ge=1024, description="a larger request body is refused unread")
    ip_limit: str = Field("300 per minute", description="requests per address, before authentication")
    key_limit: str = Field("1200 per minute", description="requests per principal, after authentication")
    login_limit: str = Field("10 per minute", description="sign-in attempts per address")
    update_limit: str = Field("60 per minute", description="price updates and built transactions per principal")
    wait_max_seconds: int = Field(30, ge=1, description="the most `Prefer: wait` is honoured")


class AccountsSettings(Group):
    """Tokens and passwords."""

    access_token_seconds: int = Field(900, ge=30, description="how long an access token works")
    refresh_token_seconds: int = Field(14 * 86_400, ge=300, description="how long a session may rest unrefreshed")
    revocation_cache_seconds: int = Field(30, ge=0, description="how long a process may trust `not revoked`")
    password_time_cost: int = Field(3, ge=1, description="argon2id passes")
    password_memory_kib: int = Field(65_536, ge=8, description="argon2id memory")
    password_parallelism: int = Field(4, ge=1, description="argon2id lanes")
    password_threads: int = Field(4, ge=1, description="passwords hashed at once, each in its own memory")
    key_grace_seconds: int = Field(3600, ge=0, description="how long a rotated API key's old secret still works")


class JobsSettings(Group):
    """The durable queue. The lease bounds how long a killed worker's job stays unnoticed."""

    lease_seconds: float = Field(30.0, ge=1.0, description="a claim without a heartbeat for so long is taken back")
    poll_seconds: float = Field(0.05, ge=0.01, description="the dispatcher's net under lost wake-ups")
    wake_gap_seconds: float = Field(0.01, ge=0.0, description="at most one wake-up message in this time")
    window_min: int = Field(200, ge=1, description="published, unclaimed messages a queue: at least this many")
    window_per_worker: int = Field(4, ge=1, description="... or this many times its concurrency")
    resend_after_seconds: float = Field(2.0, ge=0.2, description="a message missing for so long is sent again")
    maintenance_seconds: float = Field(1.0, ge=0.1, description="rescue, expiry, archive: once in this time")
    max_queued: int = Field(200_000, ge=1, description="jobs that wait in a queue; beyond it clients are told to wait")
    archive_after_seconds: float = Field(3600.0, ge=0.0, description="an ended job then leaves the live table")
    archive_keep_days: int = Field(90, ge=1, description="ended jobs, slots, events and audits are kept so long")
    key_keep_hours: int = Field(24, ge=1, description="how long an Idempotency-Key is remembered")
    max_crashes: int = Field(10, ge=1, description="expired leases after which a job is called poison")
    bulk_size: int = Field(50, ge=1, description="jobs of a bulk kind in one message")
    callback_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="the callbacks' signing keys are derived from it"
    )
    callback_allow_private: bool = Field(False, description="development only: callbacks to private addresses")


class ChainSettings(Group):
    """The EVM chain this deployment follows."""

    chain_id: int = Field(31339, ge=1, description="checked on every new connection")
    rpc_urls: tuple[SecretStr, ...] = Field(
        (SecretStr("http://127.0.0.1:8545"),), description="JSON-RPC providers, the first that answers is used"
    )
    rpc_timeout_seconds: float = Field(10.0, gt=0, description="the whole of one request")
    finality: str = Field("tag", description="`tag` (the node's finalized block) or `depth:<n>`")
    confirmations: int = Field(12, ge=1, description="blocks on top of a transaction before its intent is done")
    header_depth: int = Field(1024, ge=64, description="headers kept with parent links")
    max_range_blocks: int = Field(1000, ge=1, description="the most blocks one log request asks for")
    blooms: bool = Field(True, description="off where the chain's headers hold no filters of their logs")
    receipts: bool = Field(True, description="off where receipt roots are not computed as Ethereum does")
    header_hashes: bool = Field(True, description="off where block hashes are not computed as Ethereum does")
    head_checks_per_1000_blocks: int = Field(1000, ge=0, description="calls that prove blocks not yet final, at most")
    final_checks_per_1000_blocks: int = Field(100, ge=0, description="calls that check final blocks, at most")
    provider_max_failures: int = Field(3, ge=1, description="in a row, until other providers are preferred")
    provider_max_lag_blocks: int = Field(10, ge=0, description="below the highest head, before it counts as a failure")
    provider_open_seconds: float = Field(30.0, gt=0, description="others are preferred so long; doubles each time")
    provider_quarantine_seconds: float = Field(600.0, gt=0, description="the same, after a provider left out logs")
    audit_seconds: int = Field(600, ge=1, description="between two audits of a contract set")
    audit_blocks: int = Field(1000, ge=1, description="final blocks that one audit reads again")
    max_filter_addresses: int = Field(1000, ge=1, description="the most addresses a node takes in one log filter")
    protocol_files: tuple[str, ...] = Field((), description="which contracts are followed; see docs/protocol-files.md")
    deployment_file: str | None = Field(None, description="JSON whose values fill the protocol files' placeholders")
    halt_on_deep_fork: bool = Field(False, description="a fork below finality waits for an operator, not rewound")
    keystore_path: str | None = Field(None, description="the encrypted file with the keeper's key")
    keystore_password: SecretStr | None = Field(None, description="opens it")
    signer_key: SecretStr | None = Field(None, description="hex private key; a keystore is better")
    dry_run: bool = Field(False, description="the one send gate: true means nothing is broadcast")
    tip_floor_wei: int = Field(1_000_000_000, ge=0, description="never offer less")
    max_fee_wei: int = Field(500_000_000_000, ge=1, description="never pay more a unit of gas")
    max_spend_per_hour_wei: int = Field(10**18, ge=0, description="above it the breaker opens")
    tip_percentile: int = Field(50, ge=1, le=99, description="of the tips that recent blocks paid")
    gas_margin_bps: int = Field(2_000, ge=0, description="added to the node's gas estimate")
    breaker_min_mined: int = Field(10, ge=1, description="transactions of an hour before its reverts are judged")
    breaker_max_reverted_bps: int = Field(5_000, ge=0, le=10_000, description="a larger share of reverts opens it")
    resume_after_seconds: float = Field(15.0, gt=0, description="an unsigned intent nobody moved is the watcher's")
    rebroadcast_after_seconds: float = Field(15.0, gt=0, description="the same bytes again, lest a node forgot them")
    replace_after_seconds: float = Field(45.0, gt=0, description="then at a higher price")
    watch_seconds: int = Field(3, ge=1, description="between two looks at the live transactions")
    max_live_intents: int = Field(500, ge=1, description="looked at in one tick of the watcher")
    max_nonce_gap: int = Field(32, ge=1, description="more missing nonces than this halt the signer")


class PriceRule(Group):
    """What an action asks of a price; an unset limit is not judged."""

    max_age_seconds: int | None = Field(60, ge=1, description="an older price will not do")
    max_confidence_bps: int | None = Field(200, ge=1, description="nor one with a wider interval, of the price")
    max_deviation_bps: int | None = Field(
        200, ge=1, description="nor one further from the aggregate, where there is one"
    )
    max_average_multiple: int | None = Field(None, ge=2, description="nor one so many times its moving average")


class FundingPriceRule(PriceRule):
    """Funding settles once an hour: it needs a tight price more than the very last one."""

    max_age_seconds: int | None = Field(300, ge=1, description="an older price will not do")


class LiquidatePriceRule(PriceRule):
    """A scan only finds candidates; the transaction carries its own fresh update and the contract judges that."""

    max_age_seconds: int | None = Field(300, ge=1, description="an older price will not do")
    max_confidence_bps: int | None = Field(None, ge=1, description="nor one with a wider interval, of the price")
    max_deviation_bps: int | None = Field(
        None, ge=1, description="nor one further from the aggregate, where there is one"
    )
    max_average_multiple: int | None = Field(5, ge=2, description="nor one so many times its moving average")


class OracleSettings(Group):
    """Pyth through Hermes. Without signers nothing verifies and no price is recorded."""

    hermes_url: str = Field(
        "https://pyth.dourolabs.app/hermes", pattern=r"^https?://[^\s?#]+$", description="where the updates come from"
    )
    hermes_api_key: SecretStr | None = Field(None, description="sent as a bearer token")
    hermes_timeout_seconds: float = Field(5.0, gt=0, description="the whole of one request, from connect to last byte")
    signers: tuple[Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")], ...] = Field(
        (), description="addresses of the guardian or router set, in its own order"
    )
    signer_set_index: int | None = Field(None, ge=0, description="the guardian set's index; unset accepts any")
    signers_expire_at: AwareDatetime | None = Field(None, description="after this nothing of the set is accepted")
    quorum: int | None = Field(None, ge=1, description="unset: two thirds of the set plus one")
    emitter_chain: int = Field(26, description="Wormhole's number of the chain the updates come from (Pythnet)")
    emitter: str = Field(
        "e101faedac5851e32b9b23b5f9411a8c2bac4aae3ed4dd7b811dd1a72ea4aa71",
        pattern=r"^[0-9a-fA-F]{64}$",
        description="who sends them there",
    )
    stream: bool = Field(True, description="also follow Hermes' stream, in a process of its own")
    stream_silence_seconds: float = Field(15.0, gt=0, description="without an update for so long it is given up")
    stream_record_seconds: float = Field(1.0, ge=0, description="of what it brings, one update in this time is kept")
    max_age_seconds: int = Field(60, ge=1, description="an update older than this is neither recorded nor sent")
    max_future_seconds: int = Field(5, ge=0, description="how far ahead of our clock an update may be")
    open: PriceRule = PriceRule()
    margin: PriceRule = PriceRule()
    liquidate: LiquidatePriceRule = LiquidatePriceRule()
    funding: FundingPriceRule = FundingPriceRule()
    update_cache_seconds: float = Field(1.0, ge=0, description="how long update data given to clients is shared")
    cache_seconds: int = Field(10, ge=0, description="how long a read may come from the cache; 0 turns it off")
    history_months: int = Field(24, ge=1, description="whole months of price history that are kept")
    sequencer: SequencerSettings = SequencerSettings()
    sources: SourcesSettings = SourcesSettings()
    aggregation: AggregationSettings = AggregationSettings()

    @model_validator(mode="after")
    def _quorum_within_the_set(self) -> OracleSettings:
        if self.signers and (self.quorum or 0) > len(self.signers):
            raise ValueError("quorum is larger than the signer set")
        return self


class PerpsSettings(Group):
    """Cadences and caps of funding, health and liquidation."""

    index_seconds: int = Field(5, ge=1, description="between two readings of the chain's head")
    price_seconds: int = Field(10, ge=1, description="between two refreshes of the prices")
    scan_seconds: int = Field(10, ge=1, description="between two searches for what can be liquidated or executed")
    funding_seconds: int = Field(3600, ge=10, description="between two settlements of a market's funding")
    max_liquidations_per_scan: int = Field(50, ge=1, description="started by one search; the worst first")
    max_orders_per_scan: int = Field(50, ge=1, description="executed by one search; those that close first")
    native_feed: str | None = Field(
        "ETH/USD", description="price of the coin that pays for gas; unset: bonuses are not held against costs"
    )
    min_profit_usd: Decimal = Field(Decimal(0), description="what a bonus or fee must leave; may be negative")
    gas_ceiling: int = Field(1_500_000, ge=21_000, description="a call of ours that needs more gas is not sent")


class FlowerSettings(Group):
    """Flower, read-only and behind a password."""

    host: str = Field("127.0.0.1", description="the address it listens on")
    port: int = Field(5555, ge=1, le=65535, description="its port")
    user: str = Field("operator", pattern=r"^[!-9;-~]+$", description="its login, without a colon")
    password: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="and password; `make up` makes one when none is given"
    )

    @field_validator("password")
    @classmethod
    def _printable(cls, value: SecretStr) -> SecretStr:
        # Flower compares text that may hold ASCII only, and answers 500 to anything else.
        if not re.fullmatch(r"[ -~]+", value.get_secret_value()):
            raise ValueError("must be printable ASCII, and not empty")
        return value


class StreamSettings(Group):
    """The `stream` role: SSE and WebSocket."""

    host: str = Field("127.0.0.1", description="the address it listens on")
    port: int = Field(8001, ge=1, le=65535, description="its port")
    public_url: str | None = Field(
        None, pattern=r"^https?://[^\s?#]+$", description="where clients reach it; unset: `http://` host and port"
    )
    keep_events: int = Field(50_000, ge=100, description="events that a cut client can go on from")
    ticket_seconds: int = Field(30, ge=1, le=60, description="how long a ticket may wait to be used")
    max_connections: int = Field(5_000, ge=1, description="at once in one process")
    max_per_principal: int = Field(20, ge=1, description="of them for one principal")
    max_topics: int = Field(50, ge=1, description="in one ticket")
    max_message_bytes: int = Field(1_024, ge=64, description="a longer message from a client ends its connection")
    queue_events: int = Field(2_048, ge=16, description="events that a slow reader may be behind, before it is cut")
    heartbeat_seconds: float = Field(15.0, gt=0, description="between two signs of life")
    close_seconds: float = Field(5.0, gt=0, description="to tell a client why it is cut, or that the process ends")


class FailpointSettings(Group):
    """Tests only: where a process dies, once (app/core/failpoints.py lists the places)."""

    name: str | None = Field(None, description="the place; unset: none. Production refuses to start with one")
    hit: int = Field(1, ge=1, description="at the so-many-th passing")
    action: Literal["kill", "kill_worker", "stop", "hang"] = Field("kill", description="what happens there")
    once_file: str | None = Field(None, description="made by the first process that strikes; the others then pass")
