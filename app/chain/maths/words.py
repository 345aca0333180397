"""Where an event's arguments lie: which topic, or which words of the data's head."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from eth_abi.grammar import ABIType, TupleType, parse

from app.chain.types.abi import Argument, EventAbi

WORD = 32


@dataclass(frozen=True, slots=True)
class Place:
    """An argument's place. `topic` is 0 to 3 for an indexed one; else it stands in the data's head, `word` words in,
    and takes `words` of them: one for a dynamic type, whose word says where its content begins.
    """

    argument: Argument
    topic: int | None
    word: int
    words: int
    is_dynamic: bool


def places(event: EventAbi) -> list[Place]:
    """The places of the event's arguments, in their order."""
    found: list[Place] = []
    topic, word = 0 if event.topic is None else 1, 0
    for argument in event.arguments:
        if argument.indexed:
            found.append(Place(argument, topic, 0, 1, False))
            topic += 1
            continue
        type_ = parse(argument.type)
        size = 1 if type_.is_dynamic else static_words(type_)
        found.append(Place(argument, None, word, size, type_.is_dynamic))
        word += size
    return found


def static_words(type_: ABIType) -> int:
    """How many words a type that is not dynamic takes: one, times its array's sizes, or its parts' together."""
    one = sum(static_words(part) for part in type_.components) if isinstance(type_, TupleType) else 1
    return one * prod(int(size[0]) for size in type_.arrlist or ())
