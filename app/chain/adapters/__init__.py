"""The outside world of the chain feature: JSON-RPC nodes. Built once at an edge, from settings, and handed down."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import ATTEMPTS, Provider
from app.chain.types.sending import SenderPolicy

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


def sender_policy(settings: ChainSettings) -> SenderPolicy:
    """The sender's part of the chain's settings, as values."""
    return SenderPolicy(**{field.name: getattr(settings, field.name) for field in fields(SenderPolicy)})
