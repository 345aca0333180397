"""From a protocol file's contracts to what the indexer reads: events by address, anonymous ones, factories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app.chain.errors import InvalidProtocol
from app.chain.maths.abi import compile_events
from app.chain.types.abi import EventAbi
from app.chain.types.blocks import Anonymous, Factory, Log, WatchedEvent
from app.chain.types.protocols import ProtocolContract

Contracts = Mapping[str, ProtocolContract]


class MadeBy(NamedTuple):
    """How a contract comes to be: another's event, whose argument is its address."""

    contract: str
    event: str
    argument: str


def watched_events(contracts: Contracts) -> dict[tuple[bytes, bytes], WatchedEvent]:
    """The events with a topic of their own, by (address, topic); raises InvalidProtocol for one in two tables."""
    watched: dict[tuple[bytes, bytes], WatchedEvent] = {}
    for name, contract in contracts.items():
        topics = {event.topic: event for event in contract.events if event.topic is not None}
        for topic, event in topics.items():
            for address in contract.addresses:
                earlier = watched.setdefault(
                    (address, topic), WatchedEvent(name, event.name, event.decode, event.check)
                )
                if earlier.contract != name:
                    raise InvalidProtocol(f"contracts.{name}.address is also that of contracts.{earlier.contract}.")
    return watched


def anonymous_events(contracts: Contracts) -> dict[bytes, Anonymous]:
    """The anonymous events that the file names, by address; raises InvalidProtocol where two cannot be told apart."""
    found: dict[bytes, Anonymous] = {}
    for name, contract in contracts.items():
        by_topics: dict[int, WatchedEvent] = {}
        for event in (event for event in contract.events if event.topic is None):
            count = sum(argument.indexed for argument in event.arguments)
            if count in by_topics:
                raise InvalidProtocol(
                    f"contracts.{name}.events: the anonymous events {by_topics[count].name} and {event.name} have as"
                    " many topics, so that nobody can tell them apart."
                )
            by_topics[count] = WatchedEvent(name, event.name, event.decode, event.check, is_anonymous=True)
        if by_topics and not contract.addresses:
            raise InvalidProtocol(
                f"contracts.{name}.events: an anonymous event has no topic to ask for it by, where a factory makes the"
                " contracts."
            )
        for address in contract.addresses if by_topics else ():
            if address in found:
                raise InvalidProtocol(f"contracts.{name}.events: another table names anonymous events of that address.")
            found[address] = Anonymous(by_topics, _named_topics(contracts, address))
    return found


def _named_topics(contracts: Contracts, address: bytes) -> frozenset[bytes]:
    """The first topics of everything that is known to be emitted there, wanted or not, but anonymous events."""
    here = (
        event
        for contract in contracts.values()
        if address in contract.addresses
        for event in compile_events(contract.abi)
    )
    return frozenset(event.topic for event in here if event.topic is not None)


def factories(contracts: Contracts, made_by: Mapping[str, MadeBy]) -> tuple[Factory, ...]:
    """The contracts that others make; raises InvalidProtocol for a creation event that is none."""
    return tuple(
        Factory(
            name,
            _creations(contracts, f"contracts.{name}.factory", made),
            made.argument,
            {
                event.topic: WatchedEvent(name, event.name, event.decode, event.check)
                for event in contracts[name].events
                if event.topic is not None
            },
        )
        for name, made in made_by.items()
    )


def _creations(
    contracts: Contracts, key: str, made: MadeBy
) -> dict[tuple[bytes, bytes], Callable[[Log], dict[str, Any]]]:
    maker = contracts.get(made.contract)
    if maker is None or not maker.addresses:
        raise InvalidProtocol(f"{key}.contract: {made.contract} is no contract of the file with an address.")
    named = [event for event in maker.events if event.name == made.event]
    if not named:
        raise InvalidProtocol(f"{key}.event: {made.event} is not an event that the file reads of {made.contract}.")
    creations = [event for event in named if _names_address(event, made.argument)]
    if not creations:
        raise InvalidProtocol(f"{key}.argument: {made.event} has no argument {made.argument} that is an address.")
    return {
        (address, event.topic): event.decode
        for event in creations
        for address in maker.addresses
        if event.topic is not None
    }


def _names_address(event: EventAbi, argument: str) -> bool:
    return any(one.name == argument and one.type == "address" for one in event.arguments)
