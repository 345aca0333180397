"""From what a reader asks for to the topics that stored events must have. Pure; refuses what a topic cannot answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from eth_utils.crypto import keccak

from app.chain.maths.abi import WORD
from app.chain.maths.words import places
from app.chain.types.abi import Argument, EventAbi
from app.chain.types.event_list import BLOCK_MAX, INDEX_MAX, EventFilter, Span, Topics
from app.chain.types.protocols import Protocol
from app.core.errors import InvalidInput

MAX_ARGUMENTS = 3

Wanted = dict[tuple[str, str, bytes | None], Topics]
"""The events asked for, by contract, name and first topic, which an anonymous one has not."""


def refused(parameter: str, detail: str) -> InvalidInput:
    """The problem with one query parameter."""
    return InvalidInput(errors=[{"pointer": f"?{parameter}", "detail": detail}])


def wanted_events(protocol: Protocol, asked: EventFilter, contracts: Iterable[str]) -> Wanted:
    """The events of these contracts that are asked for; raises InvalidInput naming the parameter that cannot be met."""
    events = [(name, event) for name in contracts for event in protocol.contracts[name].events]
    if asked.event is not None:
        known = sorted({event.name for _, event in events})
        events = [(name, event) for name, event in events if event.name == asked.event]
        if not events:
            raise refused("event", f"There is no event {asked.event}; there are {', '.join(known)}.")
    elif asked.arguments:
        raise refused("event", "An argument can be asked for of one event only: name it.")
    if len(asked.arguments) > MAX_ARGUMENTS:
        raise refused("arg", f"At most {MAX_ARGUMENTS} arguments can be asked for.")
    found = {(name, event.name, event.topic): _topics(event, asked.arguments) for name, event in events}
    fitting = {key: topics for key, topics in found.items() if topics is not None}
    if not fitting:
        raise _misfit([event for _, event in events], asked.arguments)
    return fitting


def span(asked: EventFilter, after: tuple[int, int] | None) -> Span:
    """The places asked for, in the order asked for, beyond `after`."""
    low = (0 if asked.from_block is None else asked.from_block) - 1, INDEX_MAX
    high = (BLOCK_MAX if asked.to_block is None else asked.to_block) + 1, -1
    if after is not None and asked.newest_first:
        high = min(high, after)
    elif after is not None:
        low = max(low, after)
    return Span(low, high, asked.newest_first)


def _topics(event: EventAbi, arguments: Mapping[str, str]) -> Topics | None:
    """What the event's topics must be; None when it cannot be asked for by these arguments."""
    topics: list[bytes | None] = [None, None, None]
    if event.topic is None and arguments:
        return None
    indexed = {place.argument.name: place for place in places(event) if place.topic is not None}
    for name, text in arguments.items():
        place = indexed.get(name)
        topic = topic_of(place.argument, text) if place is not None else None
        if place is None or place.topic is None or topic is None:
            return None
        topics[place.topic - 1] = topic
    return topics[0], topics[1], topics[2]


def _misfit(events: list[EventAbi], arguments: Mapping[str, str]) -> InvalidInput:
    """Why no event can be asked for by these arguments: the first that is to blame."""
    if all(event.topic is None for event in events):
        return refused("arg", "An anonymous event cannot be asked for by its arguments.")
    for name, text in arguments.items():
        named = [argument for event in events for argument in event.arguments if argument.name == name]
        indexed = [argument for argument in named if argument.indexed]
        if not named:
            known = sorted({one.name for event in events for one in event.arguments if one.indexed})
            return refused(f"arg.{name}", f"There is no such argument; indexed are {', '.join(known) or 'none'}.")
        if not indexed:
            return refused(f"arg.{name}", "This argument is not indexed, so it cannot be asked for.")
        if all(topic_of(argument, text) is None for argument in indexed):
            return refused(f"arg.{name}", f"Not a value of {indexed[0].type}.")
    return refused("arg", "No event of that name has all of these arguments.")


def topic_of(argument: Argument, text: str) -> bytes | None:
    """The topic that stands for a value, as it is shown (docs/protocol-files.md); None when it is none of its type.

    A string's and bytes' own value will do as well as the hash that the chain keeps.
    """
    type_ = argument.type
    if integer := re.fullmatch(r"(u?)int(\d+)", type_):
        return _integer(text, bool(integer[1]), int(integer[2]))
    if type_ == "bool":
        return {"true": (1).to_bytes(WORD, "big"), "false": bytes(WORD)}.get(text)
    raw = bytes.fromhex(text[2:]) if re.fullmatch(r"0x([0-9a-fA-F]{2})*", text) else None
    if type_ == "address":
        return None if raw is None or len(raw) != 20 else raw.rjust(WORD, b"\x00")
    if fixed := re.fullmatch(r"bytes(\d+)", type_):
        return None if raw is None or len(raw) != int(fixed[1]) else raw.ljust(WORD, b"\x00")
    if raw is not None and len(raw) == WORD:
        return raw
    if type_ == "string":
        return keccak(text=text)
    return keccak(raw) if type_ == "bytes" and raw is not None else None


def _integer(text: str, unsigned: bool, bits: int) -> bytes | None:
    if not re.fullmatch(r"-?(0|[1-9][0-9]{0,77})", text):
        return None
    value = int(text)
    low, high = (0, 2**bits) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return value.to_bytes(WORD, "big", signed=not unsigned) if low <= value < high else None
