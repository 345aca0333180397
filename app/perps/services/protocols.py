"""From a protocol file's `[perps]` to a protocol we can follow: checked as a whole, before the first event is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from app.chain.types.abi import Argument
from app.chain.types.protocols import Protocol
from app.perps.errors import InvalidProtocol, ProtocolNotFound
from app.perps.maths.calls import UPDATE_DATA, find_function
from app.perps.types.client import CLIENT_WORDS, ClientAction
from app.perps.types.fitting import ABI_TYPES, FEED_TYPES, IDENTITY_TYPES, is_hashed
from app.perps.types.protocol import EventRule, PerpsProtocol, PerpsSection
from app.perps.types.sections import CallRule
from app.perps.types.vocabulary import KINDS, ORDER_EFFECTS, TERMS, Effect

SECTION = "perps"
IDENTIFIED = frozenset({Effect.OPEN, Effect.TRADE, Effect.CHANGE, Effect.COLLATERAL, Effect.CLOSE, Effect.LIQUIDATE})


def perps_protocols(protocols: Iterable[Protocol]) -> tuple[PerpsProtocol, ...]:
    """Those of the protocols that are perps; raises InvalidProtocol naming the file's key and what is wrong with it."""
    return tuple(_checked(protocol) for protocol in protocols if SECTION in protocol.sections)


def mistakes(protocol: Protocol) -> list[str]:
    """Everything that is wrong with the protocol's `[perps]`, a sentence each, with its key; none without `[perps]`."""
    if SECTION not in protocol.sections:
        return []
    try:
        return _problems(_read(protocol))
    except ValidationError as error:
        return [_sentence(problem) for problem in error.errors()]


def get_protocol(protocols: Sequence[PerpsProtocol], name: str) -> PerpsProtocol:
    """The protocol of that name; raises ProtocolNotFound."""
    for protocol in protocols:
        if protocol.name == name:
            return protocol
    raise ProtocolNotFound(f"This deployment follows no perps protocol {name[:100]!r}.")


def _checked(protocol: Protocol) -> PerpsProtocol:
    for mistake in mistakes(protocol):
        raise InvalidProtocol(f"{protocol.name}.toml: {mistake}")
    return _read(protocol)


def _read(protocol: Protocol) -> PerpsProtocol:
    section = PerpsSection.model_validate(protocol.sections[SECTION])
    return PerpsProtocol(protocol.name, section, protocol.contract_set, protocol.contracts)


def _sentence(problem: Any) -> str:
    where = ".".join([SECTION, *(str(part) for part in problem["loc"])])
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}."


def _problems(protocol: PerpsProtocol) -> list[str]:
    return [
        *_event_problems(protocol),
        *_keeper_problems(protocol),
        *_client_problems(protocol),
        *_price_problems(protocol),
    ]


def _price_problems(protocol: PerpsProtocol) -> Iterable[str]:
    """The contract that is asked for prices must be one of the file's."""
    call = protocol.section.margin.price
    if call is not None and call.contract not in protocol.contracts:
        yield f"perps.margin.price: there is no contract {call.contract}."


def _event_problems(protocol: PerpsProtocol) -> Iterable[str]:
    """Every event and field that the file names must be one that the indexer brings, and of a type that can be it."""
    for place, rule in enumerate(protocol.section.events):
        contract, name = rule.event.split(".")
        found = protocol.contracts.get(contract)
        event = next((event for event in found.events if event.name == name), None) if found else None
        if event is None:
            yield f"perps.events.{place}.event: {rule.event} is not an event of the file's contracts."
            continue
        yield from _field_problems(protocol.section, place, rule, {one.name: one for one in event.arguments})


def _field_problems(
    section: PerpsSection, place: int, rule: EventRule, arguments: Mapping[str, Argument]
) -> Iterable[str]:
    asked = [
        (f"fields.{name}", field.source, ABI_TYPES[KINDS[name]]) for name, field in rule.fields.items() if field.source
    ]
    identity = section.identity
    named = [*identity.market, *(identity.position if rule.effect in IDENTIFIED else ())]
    if rule.effect is Effect.ACCOUNT:
        named = []
    named += rule.only
    named += identity.order if rule.effect in ORDER_EFFECTS else ()
    asked += [("event", name, IDENTITY_TYPES) for name in dict.fromkeys(named)]
    if section.feed_field is not None and rule.effect is Effect.MARKET and rule.fields.keys() == TERMS:
        asked.append(("event", section.feed_field, FEED_TYPES))
    for key, source, wanted in asked:
        where = f"perps.events.{place}.{key}: {rule.event}"
        argument = arguments.get(source)
        if argument is None:
            yield f"{where} has no field {source}."
        elif not wanted.fits(argument):
            kept = ", indexed, of which the chain keeps only a hash" if is_hashed(argument) else ""
            yield f"{where}.{source} is {argument.type}{kept}; it must be {wanted.said}."


def _keeper_problems(protocol: PerpsProtocol) -> Iterable[str]:
    """The keeper's calls must be functions of the contract, and their arguments words that we can fill in."""
    keeper, identity = protocol.section.keeper, protocol.section.identity
    if keeper is None:
        return
    by_market = {*identity.market, *([UPDATE_DATA] if protocol.section.feed_field else [])}
    yield from _call_problems(protocol, "keeper.liquidate", keeper.liquidate, by_market | set(identity.position))
    if keeper.settle_funding is not None:
        yield from _call_problems(protocol, "keeper.settle_funding", keeper.settle_funding, by_market)
    if keeper.execute_order is not None:
        words = by_market | set(identity.order)
        yield from _call_problems(protocol, "keeper.execute_order", keeper.execute_order, words)


def _client_problems(protocol: PerpsProtocol) -> Iterable[str]:
    """The same of the calls that traders make."""
    identity = protocol.section.identity
    for action, words in CLIENT_WORDS.items():
        call: CallRule | None = getattr(protocol.section.client, action)
        if call is None:
            continue
        if protocol.section.feed_field is None:
            yield f"perps.client.{action}: without a price of Pyth's there is no update data to go with it."
        known = {*identity.market, UPDATE_DATA, *words, *(() if action is ClientAction.OPEN else identity.position)}
        yield from _call_problems(protocol, f"client.{action}", call, known)


def _call_problems(protocol: PerpsProtocol, key: str, call: CallRule, words: set[str]) -> Iterable[str]:
    if find_function(_abi(protocol, call.contract), call.function, len(call.arguments)) is None:
        yield f"perps.{key}: {call.contract} has no function {call.function} of that many arguments."
    if unknown := set(call.arguments) - words:
        yield f"perps.{key}: nothing is known as {', '.join(sorted(unknown))}."


def _abi(protocol: PerpsProtocol, contract: str) -> Sequence[Mapping[str, Any]]:
    found = protocol.contracts.get(contract)
    return found.abi if found else ()
