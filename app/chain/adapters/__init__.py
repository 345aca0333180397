"""The outside world of the chain feature: JSON-RPC nodes. Built once at an edge, from settings, and handed down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import ATTEMPTS, Provider
from app.chain.maths.forks import parse_finality
from app.chain.types.indexing import CheckLimits, IndexOptions, ProviderLimits, RangeLimits

if TYPE_CHECKING:  # pydantic costs a command line more start-up time than all the rest
    from config.groups import ChainSettings


def from_settings(settings: ChainSettings, *, attempts: int = ATTEMPTS) -> Providers:
    """The chain's providers, in the configured order; nothing is asked of them yet. `attempts`: how often each is tried
    with what may pass."""
    return Providers(
        [
            Provider(
                url.get_secret_value(),
                chain_id=settings.chain_id,
                timeout_seconds=settings.rpc_timeout_seconds,
                attempts=attempts,
            )
            for url in settings.rpc_urls
        ]
    )


def index_options(settings: ChainSettings) -> IndexOptions:
    """The indexer's tunables; raises ValueError for a finality that is neither `tag` nor `depth:<n>`."""
    return IndexOptions(
        finality=parse_finality(settings.finality),
        header_depth=settings.header_depth,
        limits=RangeLimits(max_blocks=settings.max_range_blocks, max_addresses=settings.max_filter_addresses),
        halt_on_deep_fork=settings.halt_on_deep_fork,
        checks=_check_limits(settings),
        providers=_provider_limits(settings),
    )


def _check_limits(settings: ChainSettings) -> CheckLimits:
    return CheckLimits(
        blooms=settings.blooms,
        receipts=settings.receipts,
        header_hashes=settings.header_hashes,
        head_calls_per_1000_blocks=settings.head_checks_per_1000_blocks,
        final_calls_per_1000_blocks=settings.final_checks_per_1000_blocks,
    )


def _provider_limits(settings: ChainSettings) -> ProviderLimits:
    return ProviderLimits(
        max_failures=settings.provider_max_failures,
        max_lag_blocks=settings.provider_max_lag_blocks,
        open_seconds=settings.provider_open_seconds,
        quarantine_seconds=settings.provider_quarantine_seconds,
    )
