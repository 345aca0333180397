"""What the oracle's services are handed: the source, the cache, and the values that settings decide."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from app.oracle.adapters.hermes import Hermes
from app.oracle.adapters.price_cache import PriceCache
from app.oracle.types import Action, ActionRule, Rules, SignerSet, Trust, Window
from config.groups import OracleSettings, PriceRule


@dataclass(frozen=True, slots=True)
class OracleParts:
    """Built once a process, in the factory or the worker's runtime."""

    source: Hermes
    cache: PriceCache
    trust: Trust
    window: Window
    rules: Rules


def from_settings(settings: OracleSettings, cache: Redis) -> OracleParts:
    """The oracle's parts; `cache` is a client of CACHE_URL that fails fast."""
    return OracleParts(
        source=Hermes(settings.hermes_url, settings.hermes_api_key, timeout_seconds=settings.hermes_timeout_seconds),
        cache=PriceCache(cache, settings.cache_seconds),
        trust=trust_from(settings),
        window=Window(settings.max_age_seconds, settings.max_future_seconds),
        rules=rules_from(settings),
    )


def trust_from(settings: OracleSettings) -> Trust:
    """Whose signatures count. Without a quorum in the settings it is Wormhole's: two thirds of the set plus one."""
    signers = tuple(bytes.fromhex(address[2:]) for address in settings.signers)
    return Trust(
        signers=SignerSet(
            signers=signers,
            quorum=settings.quorum or len(signers) * 2 // 3 + 1,
            index=settings.signer_set_index,
            expires_at=settings.signers_expire_at,
        ),
        emitter_chain=settings.emitter_chain,
        emitter=bytes.fromhex(settings.emitter),
    )


def rules_from(settings: OracleSettings) -> Rules:
    """The rule of every action."""
    return Rules(
        actions={
            Action.OPEN: _rule(settings.open),
            Action.MARGIN: _rule(settings.margin),
            Action.LIQUIDATE: _rule(settings.liquidate),
            Action.FUNDING: _rule(settings.funding),
        },
        max_future_seconds=settings.max_future_seconds,
    )


def _rule(rule: PriceRule) -> ActionRule:
    return ActionRule(rule.max_age_seconds, rule.max_confidence_bps)
