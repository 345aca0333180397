"""From a protocol file's `[perps]` to a protocol we can follow: checked as a whole, before the first event is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from app.chain.types.protocols import Protocol
from app.perps.errors import InvalidProtocol, ProtocolNotFound
from app.perps.maths.calls import UPDATE_DATA, find_function
from app.perps.types.protocol import CallRule, PerpsProtocol, PerpsSection
from app.perps.types.vocabulary import TERMS, Effect

SECTION = "perps"
IDENTIFIED = frozenset({Effect.OPEN, Effect.CHANGE, Effect.COLLATERAL, Effect.CLOSE, Effect.LIQUIDATE})


def perps_protocols(protocols: Iterable[Protocol]) -> tuple[PerpsProtocol, ...]:
    """Those of the protocols that are perps; raises InvalidProtocol naming the file's key and what is wrong with it."""
    return tuple(_checked(protocol) for protocol in protocols if SECTION in protocol.sections)


def get_protocol(protocols: Sequence[PerpsProtocol], name: str) -> PerpsProtocol:
    """The protocol of that name; raises ProtocolNotFound."""
    for protocol in protocols:
        if protocol.name == name:
            return protocol
    raise ProtocolNotFound(f"This deployment follows no perps protocol {name[:100]!r}.")


def _checked(protocol: Protocol) -> PerpsProtocol:
    try:
        section = PerpsSection.model_validate(protocol.sections[SECTION])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([SECTION, *(str(part) for part in first["loc"])])
        raise InvalidProtocol(f"{protocol.name}: {where}: {first['msg']}.") from error
    found = PerpsProtocol(protocol.name, section, protocol.contract_set, protocol.contracts)
    for problem in [*_event_problems(found), *_keeper_problems(found)]:
        raise InvalidProtocol(f"{protocol.name}: {problem}")
    return found


def _event_problems(protocol: PerpsProtocol) -> Iterable[str]:
    """Every event and field that the file names must be one that the indexer brings."""
    section = protocol.section
    watched = {f"{event.contract}.{event.name}" for event in protocol.contract_set.watched.values()}
    for rule in section.events:
        contract, name = rule.event.split(".")
        inputs = _inputs(protocol, contract, name)
        if inputs is None or rule.event not in watched:
            yield f"perps.events: {rule.event} is not an event of the file's contracts."
            continue
        needed = {field.source for field in rule.fields.values()} | set(section.identity.market)
        if rule.effect in IDENTIFIED:
            needed |= set(section.identity.position)
        if rule.effect is Effect.MARKET and rule.fields.keys() == TERMS:
            needed.add(section.price.feed)
        if missing := needed - inputs:
            yield f"perps.events: {rule.event} has no field {', '.join(sorted(missing))}."


def _inputs(protocol: PerpsProtocol, contract: str, event: str) -> set[str] | None:
    for entry in _abi(protocol, contract):
        if entry.get("type") == "event" and entry.get("name") == event:
            return {str(argument["name"]) for argument in entry["inputs"]}
    return None


def _keeper_problems(protocol: PerpsProtocol) -> Iterable[str]:
    """The keeper's calls must be functions of the contract, and their arguments words that we can fill in."""
    keeper, identity = protocol.section.keeper, protocol.section.identity
    if keeper is None:
        return
    by_market = {*identity.market, UPDATE_DATA}
    yield from _call_problems(protocol, "liquidate", keeper.liquidate, by_market | set(identity.position))
    yield from _call_problems(protocol, "settle_funding", keeper.settle_funding, by_market)


def _call_problems(protocol: PerpsProtocol, key: str, call: CallRule, words: set[str]) -> Iterable[str]:
    if find_function(_abi(protocol, call.contract), call.function, len(call.arguments)) is None:
        yield f"perps.keeper.{key}: {call.contract} has no function {call.function} of that many arguments."
    if unknown := set(call.arguments) - words:
        yield f"perps.keeper.{key}: nothing is known as {', '.join(sorted(unknown))}."


def _abi(protocol: PerpsProtocol, contract: str) -> Sequence[Mapping[str, Any]]:
    found = protocol.contracts.get(contract)
    return found.abi if found else ()
