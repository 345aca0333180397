"""What the oracle's services are handed: the source, the cache, and the values that settings decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis

from app.core.outbound import Outbound
from app.oracle.adapters.chainlink import Chainlink
from app.oracle.adapters.exchange_http import ExchangeHttp
from app.oracle.adapters.exchanges import Binance, Coinbase, Exchange, Kraken
from app.oracle.adapters.hermes import Hermes
from app.oracle.adapters.price_cache import PriceCache
from app.oracle.types.prices import Action, ActionRule, Rules, SequencerRule
from app.oracle.types.sources import AggregationRules, ChainlinkFeed, SourceRule
from app.oracle.types.updates import SignerSet, Trust, Window
from config.groups import OracleSettings, PriceRule
from config.oracle import AggregationSettings, SourcesSettings


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources beside Pyth. `exchanges`: each with its markets by symbol. `by_symbol`: for every symbol that has one
    of them, the rule of each of its sources, Pyth's too.
    """

    chainlink: Chainlink
    exchanges: tuple[tuple[Exchange, Mapping[str, str]], ...]
    by_symbol: Mapping[str, Mapping[str, SourceRule]]
    rules: AggregationRules


@dataclass(frozen=True, slots=True)
class OracleParts:
    """Built once a process, in the factory or the worker's runtime."""

    source: Hermes
    cache: PriceCache
    trust: Trust
    window: Window
    rules: Rules
    sources: Sources


def from_settings(settings: OracleSettings, cache: Redis, *, chain_id: int) -> OracleParts:
    """The oracle's parts; `cache` is a client of CACHE_URL that fails fast, `chain_id` the chain that is followed."""
    return OracleParts(
        source=Hermes(settings.hermes_url, settings.hermes_api_key, timeout_seconds=settings.hermes_timeout_seconds),
        cache=PriceCache(cache, settings.cache_seconds),
        trust=trust_from(settings),
        window=Window(settings.max_age_seconds, settings.max_future_seconds),
        rules=rules_from(settings, chain_id),
        sources=sources_from(settings),
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


def rules_from(settings: OracleSettings, chain_id: int) -> Rules:
    """The rule of every action, and what prices are judged by besides."""
    gate = settings.sequencer
    return Rules(
        actions={
            Action.OPEN: _rule(settings.open),
            Action.MARGIN: _rule(settings.margin),
            Action.LIQUIDATE: _rule(settings.liquidate),
            Action.FUNDING: _rule(settings.funding),
        },
        max_future_seconds=settings.max_future_seconds,
        sequencer=SequencerRule(chain_id, gate.grace_seconds, gate.max_age_seconds) if gate.feed else None,
        aggregated=frozenset(_source_rules(settings.sources, settings.aggregation)),
        max_aggregate_age_seconds=settings.aggregation.max_shown_age_seconds,
    )


def _rule(rule: PriceRule) -> ActionRule:
    return ActionRule(rule.max_age_seconds, rule.max_confidence_bps, rule.max_deviation_bps, rule.max_average_multiple)


def sources_from(settings: OracleSettings) -> Sources:
    """Chainlink and the exchanges, each with what it is asked for."""
    sources, rules = settings.sources, settings.aggregation
    return Sources(
        chainlink=Chainlink(
            [
                ChainlinkFeed(feed.symbol, bytes.fromhex(feed.address[2:]), feed.heartbeat_seconds)
                for feed in sources.chainlink
            ],
            None if settings.sequencer.feed is None else bytes.fromhex(settings.sequencer.feed[2:]),
        ),
        exchanges=_exchanges(sources),
        by_symbol=_source_rules(sources, rules),
        rules=AggregationRules(
            heartbeat_multiple=rules.heartbeat_multiple,
            max_age_seconds=rules.max_age_seconds,
            max_future_seconds=settings.max_future_seconds,
            outlier_min_quotes=rules.outlier_min_quotes,
            outlier_multiple=rules.outlier_multiple,
            outlier_floor_bps=rules.outlier_floor_bps,
            max_weight_bps=rules.max_weight_bps,
            min_sources=rules.min_sources,
            max_jump_bps=rules.max_jump_bps,
            ema_halflife_seconds=rules.ema_halflife_seconds,
        ),
    )


def _exchanges(settings: SourcesSettings) -> tuple[tuple[Exchange, Mapping[str, str]], ...]:
    seconds = settings.timeout_seconds
    outbound = Outbound(pool_size=4, connect_seconds=seconds, read_seconds=seconds, deadline_seconds=seconds)
    known: tuple[Exchange, ...] = (
        Binance(ExchangeHttp(settings.binance_url, outbound)),
        Coinbase(ExchangeHttp(settings.coinbase_url, outbound)),
        Kraken(ExchangeHttp(settings.kraken_url, outbound)),
    )
    markets = {
        exchange.name: {ticker.symbol: ticker.market for ticker in settings.tickers if ticker.exchange == exchange.name}
        for exchange in known
    }
    return tuple((exchange, markets[exchange.name]) for exchange in known if markets[exchange.name])


def _source_rules(sources: SourcesSettings, rules: AggregationSettings) -> Mapping[str, Mapping[str, SourceRule]]:
    pyth = SourceRule(rules.pyth_heartbeat_seconds, rules.pyth_weight)
    exchange = SourceRule(rules.exchange_heartbeat_seconds, rules.exchange_weight)
    found: dict[str, dict[str, SourceRule]] = {}
    for feed in sources.chainlink:
        rule = SourceRule(feed.heartbeat_seconds, rules.chainlink_weight)
        found.setdefault(feed.symbol, {"pyth": pyth})["chainlink"] = rule
    for ticker in sources.tickers:
        found.setdefault(ticker.symbol, {"pyth": pyth})[ticker.exchange] = exchange
    return found
