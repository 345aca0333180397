"""The outside world of the chain feature: JSON-RPC nodes. Built once at an edge, from settings, and handed down."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.types.indexing import CheckLimits, ProviderLimits
from app.chain.types.sending import SenderPolicy

if TYPE_CHECKING:  # pydantic costs a command line more start-up time than all the rest
    from config.groups import ChainSettings


def from_settings(settings: ChainSettings) -> Providers:
    """The chain's providers, in the configured order; nothing is asked of them yet."""
    return Providers(
        [
            Provider(url.get_secret_value(), chain_id=settings.chain_id, timeout_seconds=settings.rpc_timeout_seconds)
            for url in settings.rpc_urls
        ]
    )


def check_limits(settings: ChainSettings) -> CheckLimits:
    """How far the node's answers are checked, as values."""
    return CheckLimits(
        blooms=settings.blooms,
        receipts=settings.receipts,
        head_calls_per_1000_blocks=settings.head_checks_per_1000_blocks,
        final_calls_per_1000_blocks=settings.final_checks_per_1000_blocks,
    )


def provider_limits(settings: ChainSettings) -> ProviderLimits:
    """What a provider may do before others are preferred, as values."""
    return ProviderLimits(
        max_failures=settings.provider_max_failures,
        max_lag_blocks=settings.provider_max_lag_blocks,
        open_seconds=settings.provider_open_seconds,
        quarantine_seconds=settings.provider_quarantine_seconds,
    )


def sender_policy(settings: ChainSettings) -> SenderPolicy:
    """The sender's part of the chain's settings, as values."""
    return SenderPolicy(**{field.name: getattr(settings, field.name) for field in fields(SenderPolicy)})
