"""Decoders of events, generated from their ABI: one function an event, which slices words and checks their padding.

A static argument costs a slice and a comparison; an event with a dynamic one (string, bytes, array, struct) is read by
eth-abi, against which all of this is tested. What an event's data may not do: be shorter than its words, have another
number of topics, or a word with bits outside its type. Source: Solidity's contract ABI specification.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from eth_hash.auto import keccak

from app.chain.errors import MalformedEvent, UnsupportedAbi
from app.chain.types.abi import Argument, EventAbi
from app.chain.types.blocks import Log

WORD = 32
MAX_TOPICS = 4
_INTEGER = re.compile(r"(u?)int([0-9]+)\Z")
_BYTES = re.compile(r"bytes([0-9]+)\Z")
_BITS = "|".join(str(bits) for bits in range(8, 257, 8))
_NUMBER = rf"u?int(?:{_BITS})|u?fixed(?:{_BITS})x(?:[1-9]|[1-7][0-9]|80)"
_ARRAYS = r"(?:\[(?:[1-9][0-9]*)?\])*"
_FLAT = rf"(?:address|bool|string|function|bytes(?:[1-9]|[12][0-9]|3[0-2])?|{_NUMBER}){_ARRAYS}"
_LEAF = re.compile(_FLAT)
_FLAT_TUPLE = re.compile(rf"\({_FLAT}(?:,{_FLAT})*\){_ARRAYS}")


def compile_events(abi: Sequence[Mapping[str, Any]]) -> list[EventAbi]:
    """Every event of an ABI, but anonymous ones, which have no topic to know them by.

    Raises UnsupportedAbi for an entry that is not as the JSON ABI format says.
    """
    return [compile_event(entry) for entry in abi if entry.get("type") == "event" and not entry.get("anonymous")]


def compile_event(entry: Mapping[str, Any]) -> EventAbi:
    """One event's entry; raises UnsupportedAbi."""
    try:
        arguments = [
            Argument(item.get("name") or f"arg{place}", canonical_type(item), bool(item.get("indexed")))
            for place, item in enumerate(entry["inputs"])
        ]
        name = str(entry["name"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UnsupportedAbi(f"An event of the ABI lacks its name or inputs: {dict(entry)!r:.200}") from error
    signature = f"{name}({','.join(argument.type for argument in arguments)})"
    own_topics = 0 if entry.get("anonymous") else 1
    _check(signature, arguments, MAX_TOPICS - own_topics)
    return EventAbi(
        name,
        signature,
        keccak(signature.encode()) if own_topics else None,
        _generate(name, arguments, own_topics, values=True),
        _generate(name, arguments, own_topics, values=False),
        tuple(arguments),
    )


def canonical_type(item: Mapping[str, Any]) -> str:
    """The type as it is written in a signature: structs as tuples, `uint` as `uint256`."""
    written = str(item["type"])
    if written.startswith("tuple"):
        inner = ",".join(canonical_type(part) for part in item["components"])
        return f"({inner}){written.removeprefix('tuple')}"
    return re.sub(r"^(u?int)(?=\[|\Z)", r"\g<1>256", written)


def is_type(text: str) -> bool:
    """Whether this is a type of the contract ABI, structs written as tuples."""
    while not _LEAF.fullmatch(text):
        text, tuples = _FLAT_TUPLE.subn("bool", text)  # the innermost ones first
        if not tuples:
            return False
    return True


def _check(signature: str, arguments: Sequence[Argument], most_indexed: int) -> None:
    names = [argument.name for argument in arguments]
    if len(set(names)) != len(names):
        raise UnsupportedAbi(f"{signature} names two of its arguments alike.")
    if sum(argument.indexed for argument in arguments) > most_indexed:
        raise UnsupportedAbi(f"{signature} has more than {most_indexed} indexed arguments.")
    for argument in arguments:
        if not is_type(argument.type):
            raise UnsupportedAbi(f"{signature}: the type {argument.type} of {argument.name} is not known.")


def _generate(name: str, arguments: Sequence[Argument], own_topics: int, *, values: bool) -> Callable[[Log], Any]:
    """Write and compile the event's decoder, or without `values` what only refuses; our own words and numbers alone."""
    plain = [argument for argument in arguments if not argument.indexed]
    indexed = [argument for argument in arguments if argument.indexed]
    sliced = all(_is_word(argument.type) for argument in plain)
    lines = ["def decode(log):", " topics = log.topics", " data = log.data"]
    lines += [f" if len(topics) != {len(indexed) + own_topics}: raise malformed('topics', len(topics))"]
    if sliced and plain:
        lines += [f" if len(data) < {len(plain) * WORD}: raise malformed('data', len(data))"]
    elif plain:
        lines += [" values = dynamic(data)"]
    places = {argument.name: f"topics[{place}]" for place, argument in enumerate(indexed, own_topics)}
    places |= {argument.name: f"data[{place * WORD}:{(place + 1) * WORD}]" for place, argument in enumerate(plain)}
    for number, argument in enumerate(arguments):
        if not argument.indexed and not sliced:
            lines += [f" v{number} = values[{plain.index(argument)}]"]
        elif values or _may_be_wrong(argument):
            lines += _word_lines(f"v{number}", argument, places[argument.name])
    if values:
        fields = ", ".join(f"{argument.name!r}: v{number}" for number, argument in enumerate(arguments))
        lines += [f" return {{{fields}}}"]
    scope: dict[str, Any] = {
        "number": int.from_bytes,
        "malformed": lambda what, found: MalformedEvent(f"{name}: {what} does not fit the ABI ({found!r:.80})."),
        "dynamic": _dynamic(name, [argument.type for argument in plain]),
        "booleans": {bytes(WORD): False, bytes(WORD - 1) + b"\x01": True},
    }
    exec(compile("\n".join(lines), f"<event {name}>", "exec"), scope)  # noqa: S102 - see the docstring
    decode: Callable[[Log], Any] = scope["decode"]
    return decode


def _may_be_wrong(argument: Argument) -> bool:
    """False for a word of which every bit means something."""
    return _is_word(argument.type) and argument.type not in ("uint256", "int256", "bytes32")


def _is_word(type_: str) -> bool:
    return type_ in ("address", "bool") or bool(_INTEGER.match(type_) or _BYTES.match(type_))


def _word_lines(target: str, argument: Argument, word: str) -> list[str]:
    """The lines that read one word into `target`, and refuse one with bits outside its type."""
    wrong = f"raise malformed({argument.name!r}, {word}.hex())"
    integer, fixed = _INTEGER.match(argument.type), _BYTES.match(argument.type)
    if integer:
        unsigned, bits = bool(integer[1]), int(integer[2])
        if unsigned:
            check = [f" if {target} > {2**bits - 1}: {wrong}"] if bits < 256 else []
            return [f" {target} = number({word}, 'big')", *check]
        check = [f" if not {-(2 ** (bits - 1))} <= {target} < {2 ** (bits - 1)}: {wrong}"] if bits < 256 else []
        return [f" {target} = number({word}, 'big', signed=True)", *check]
    if argument.type == "address":
        return [
            f" {target} = {word}",
            f" if {target}[:12] != {bytes(12)!r}: {wrong}",
            f" {target} = {target}[12:]",
        ]
    if argument.type == "bool":
        return [f" {target} = booleans.get({word})", f" if {target} is None: {wrong}"]
    if fixed and int(fixed[1]) < WORD:
        size = int(fixed[1])
        return [
            f" {target} = {word}",
            f" if {target}[{size}:] != {bytes(WORD - size)!r}: {wrong}",
            f" {target} = {target}[:{size}]",
        ]
    return [f" {target} = {word}"]  # bytes32, or the hash that stands for an indexed dynamic argument


def _dynamic(name: str, types: Sequence[str]) -> Callable[[bytes], tuple[Any, ...]]:
    def decode(data: bytes) -> tuple[Any, ...]:
        # eth-abi takes longer to load than a range to read, and most events never need it.
        values: tuple[Any, ...] = import_module("app.chain.maths.dynamic_abi").decode(name, types, data)
        return values

    return decode
