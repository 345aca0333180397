"""A contract's ABI at work: calls encoded, results and events decoded, structs as tables by field name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """A decoded log: the event's name and its arguments, and where it stands in the chain."""

    name: str
    args: Mapping[str, Any]
    block_number: int
    block_hash: str
    log_index: int
    transaction_hash: str


class Abi:
    """The functions by name (ours have no overloads) and the events by topic."""

    def __init__(self, entries: Sequence[Entry]):
        self._functions = {entry["name"]: entry for entry in entries if entry["type"] == "function"}
        self._events = {_digest(entry): entry for entry in entries if entry["type"] == "event"}

    def call_data(self, function: str, *arguments: object) -> str:
        """What to send to call `function`, as 0x hex."""
        entry = self._functions[function]
        types = [_type(part) for part in entry["inputs"]]
        return "0x" + (_digest(entry)[:4] + encode(types, arguments)).hex()

    def result(self, function: str, answer: str) -> Any:
        """A call's answer: the value of a single output, a tuple of several."""
        parts = self._functions[function]["outputs"]
        values = decode([_type(part) for part in parts], bytes.fromhex(answer.removeprefix("0x")))
        named = tuple(_named(part, value) for part, value in zip(parts, values, strict=True))
        return named[0] if len(named) == 1 else named

    def topic(self, event: str) -> str:
        """The first topic of an event's logs, as 0x hex."""
        (found,) = [topic for topic, entry in self._events.items() if entry["name"] == event]
        return "0x" + found.hex()

    def find_event(self, log: Mapping[str, Any]) -> Event | None:
        """A node's log, decoded; None when this ABI has no such event."""
        entry = self._events.get(bytes.fromhex(log["topics"][0][2:]))
        if entry is None:
            return None
        indexed = [part for part in entry["inputs"] if part["indexed"]]
        plain = [part for part in entry["inputs"] if not part["indexed"]]
        words = b"".join(bytes.fromhex(topic[2:]) for topic in log["topics"][1:])
        values = _fields(indexed, words) | _fields(plain, bytes.fromhex(log["data"][2:]))
        return Event(
            name=entry["name"],
            args={part["name"]: values[part["name"]] for part in entry["inputs"]},
            block_number=int(log["blockNumber"], 16),
            block_hash=log["blockHash"],
            log_index=int(log["logIndex"], 16),
            transaction_hash=log["transactionHash"],
        )


def _digest(entry: Entry) -> bytes:
    types = ",".join(_type(part) for part in entry["inputs"])
    return bytes(keccak(f"{entry['name']}({types})".encode()))[: 4 if entry["type"] == "function" else 32]


def _type(part: Entry) -> str:
    if not part["type"].startswith("tuple"):
        return str(part["type"])
    return f"({','.join(map(_type, part['components']))}){part['type'].removeprefix('tuple')}"


def _fields(parts: Sequence[Entry], data: bytes) -> dict[str, Any]:
    values = decode([_type(part) for part in parts], data)
    return {part["name"]: _named(part, value) for part, value in zip(parts, values, strict=True)}


def _named(part: Entry, value: Any) -> Any:
    if part["type"] != "tuple":
        return value
    return {inner["name"]: _named(inner, each) for inner, each in zip(part["components"], value, strict=True)}
