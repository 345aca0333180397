"""Decoders generated from an ABI, against eth-abi: the same values, and the same refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_abi.exceptions import ABITypeError, DecodingError, ParseError, PredicateMappingError
from eth_abi.registry import registry
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from app.chain.errors import MalformedEvent, UnsupportedAbi
from app.chain.maths.abi import EventAbi, compile_event, compile_events, is_type
from app.chain.types.blocks import Log

STATIC = (
    ["address", "bool"]
    + [f"{sign}int{bits}" for sign in ("u", "") for bits in range(8, 257, 8)]
    + [f"bytes{size}" for size in range(1, 33)]
)
DYNAMIC = [
    "string",
    "bytes",
    "uint256[]",
    "address[]",
    "(uint8,string)",
    "(address,int16)[2]",
    "bytes32[3]",
    "string[]",
]


def values_of(type_: str) -> st.SearchStrategy[Any]:
    """Values of an ABI type, as eth-abi encodes them."""
    if type_.endswith("]"):
        inner, size = type_[:-1].rsplit("[", 1)
        bounds = {"min_size": int(size), "max_size": int(size)} if size else {"max_size": 3}
        return st.lists(values_of(inner), **bounds).map(tuple)
    if type_.startswith("("):
        return st.tuples(*[values_of(part) for part in type_[1:-1].split(",")])
    if type_ == "address":
        return st.binary(min_size=20, max_size=20)
    if type_ == "bool":
        return st.booleans()
    if type_ == "string":
        return st.text(max_size=70)
    if type_ == "bytes":
        return st.binary(max_size=70)
    if type_.startswith("bytes"):
        return st.binary(min_size=int(type_[5:]), max_size=int(type_[5:]))
    bits = int(type_.split("int")[1])
    return (
        st.integers(0, 2**bits - 1) if type_.startswith("u") else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


def entry(types: list[str], indexed: int = 0) -> dict[str, Any]:
    """An event of the ABI; the first `indexed` arguments are."""
    return {
        "type": "event",
        "name": "Happened",
        "inputs": [_item(type_, f"v{place}") | {"indexed": place < indexed} for place, type_ in enumerate(types)],
    }


def _item(type_: str, name: str) -> dict[str, Any]:
    if not type_.startswith("("):
        return {"name": name, "type": type_}
    inner, suffix = type_[1:].split(")")
    components = [{"name": f"c{place}", "type": part} for place, part in enumerate(inner.split(","))]
    return {"name": name, "type": "tuple" + suffix, "components": components}


def a_log(event: EventAbi, topics: tuple[bytes, ...], data: bytes) -> Log:
    """A log of the event."""
    return Log(1, bytes(32), 0, bytes(32), 0, bytes(20), (event.topic, *topics), data)


def decoded(event: EventAbi, log: Log) -> dict[str, Any]:
    """What the event's decoder says; its check says the same, without the values."""
    said = refusal(event.check, log)
    assert said == refusal(event.decode, log)
    return event.decode(log)


def refusal(read: Callable[[Log], object], log: Log) -> str | None:
    """Why it does not fit."""
    try:
        read(log)
    except MalformedEvent as error:
        return error.detail
    return None


@given(st.data())
def test_static_arguments_indexed_and_not_come_back_as_they_went_in(data: st.DataObject) -> None:
    types = data.draw(st.lists(st.sampled_from(STATIC), min_size=1, max_size=8))
    indexed = data.draw(st.integers(0, min(3, len(types))))
    values = [data.draw(values_of(type_)) for type_ in types]
    event = compile_event(entry(types, indexed))
    topics = tuple(encode([type_], [value]) for type_, value in zip(types[:indexed], values[:indexed], strict=True))
    words = encode(types[indexed:], values[indexed:])
    assert decoded(event, a_log(event, topics, words)) == {f"v{place}": value for place, value in enumerate(values)}


@given(st.data())
def test_dynamic_arguments_come_back_as_they_went_in(data: st.DataObject) -> None:
    types = [*data.draw(st.lists(st.sampled_from(STATIC + DYNAMIC), max_size=5)), data.draw(st.sampled_from(DYNAMIC))]
    values = [data.draw(values_of(type_)) for type_ in types]
    event = compile_event(entry(types))
    found = decoded(event, a_log(event, (), encode(types, values)))
    assert found == {f"v{place}": value for place, value in enumerate(values)}


@given(st.data())
def test_a_word_that_eth_abi_refuses_is_refused(data: st.DataObject) -> None:
    types = data.draw(st.lists(st.sampled_from(STATIC), min_size=1, max_size=4))
    words = data.draw(
        st.binary(min_size=len(types) * 32 - 2, max_size=len(types) * 32 + 40)
        | st.just(encode(types, [data.draw(values_of(type_)) for type_ in types])).map(
            lambda whole: bytes([*whole[:3], data.draw(st.integers(0, 255)), *whole[4:]])
        )
    )
    event = compile_event(entry(types))
    try:
        expected = decode([t if t != "address" else "uint160" for t in types], words)
    except DecodingError:
        with pytest.raises(MalformedEvent):
            decoded(event, a_log(event, (), words))
        return
    found = tuple(decoded(event, a_log(event, (), words)).values())
    assert found == tuple(
        value.to_bytes(20, "big") if type_ == "address" else value for type_, value in zip(types, expected, strict=True)
    )


@given(st.sampled_from(DYNAMIC), st.binary(max_size=300))
def test_rubbish_is_an_error_of_its_row_and_nothing_else(type_: str, rubbish: bytes) -> None:
    event = compile_event(entry([type_]))
    with suppress(MalformedEvent):
        assert decoded(event, a_log(event, (), rubbish)).keys() == {"v0"}


def test_an_indexed_dynamic_argument_is_the_hash_the_chain_keeps() -> None:
    event = compile_event(entry(["string", "uint256"], indexed=1))
    kept = keccak(text="the name")
    assert decoded(event, a_log(event, (kept,), (7).to_bytes(32, "big"))) == {"v0": kept, "v1": 7}


def test_another_number_of_topics_is_refused() -> None:
    event = compile_event(entry(["uint256", "address"], indexed=2))
    with pytest.raises(MalformedEvent, match="topics"):
        decoded(event, a_log(event, (bytes(32),), b""))
    with pytest.raises(MalformedEvent, match="topics"):
        decoded(event, a_log(event, (bytes(32), bytes(32), bytes(32)), b""))


def test_signatures_are_those_of_known_events() -> None:
    # ERC-20's Transfer, and Aave v3's ReserveDataUpdated: topics as any explorer shows them.
    transfer = compile_event(
        {
            "name": "Transfer",
            "inputs": [
                {"name": "from", "type": "address", "indexed": True},
                {"name": "to", "type": "address", "indexed": True},
                {"name": "value", "type": "uint"},
            ],
        }
    )
    assert transfer.signature == "Transfer(address,address,uint256)"
    assert transfer.topic.hex() == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    nested = compile_event(entry(["(uint8,string)", "(address,int16)[2]"]))
    assert nested.signature == "Happened((uint8,string),(address,int16)[2])"


def test_what_cannot_be_decoded_is_refused_when_the_abi_is_loaded() -> None:
    twice = {"name": "E", "inputs": [{"name": "a", "type": "bool"}, {"name": "a", "type": "bool"}]}
    many = {"name": "E", "inputs": [{"type": "bool", "indexed": True}] * 4}
    cases = [twice, many, {"name": "E", "inputs": [{"type": "uint257"}]}, {"name": "E"}, {"inputs": []}]
    for bad in [*cases, {"name": "E", "inputs": [{"name": "a"}]}, {"name": "E", "inputs": [{"type": "tuple"}]}]:
        with pytest.raises(UnsupportedAbi):
            compile_event(bad)


def test_functions_and_anonymous_events_are_passed_over() -> None:
    abi = [{"type": "function", "name": "f"}, entry(["bool"]) | {"anonymous": True}, entry(["bool"])]
    assert [event.name for event in compile_events(abi)] == ["Happened"]


def test_unnamed_arguments_are_named_by_their_place() -> None:
    event = compile_event({"name": "E", "inputs": [{"name": "", "type": "bool"}, {"type": "uint8"}]})
    assert decoded(event, a_log(event, (), bytes(63) + b"\x05")) == {"arg0": False, "arg1": 5}


def known_to_eth_abi(text: str) -> bool:
    try:
        registry.get_decoder(text)  # type: ignore[no-untyped-call]
    except (ABITypeError, ParseError, PredicateMappingError, ValueError):
        return False
    return True


PIECES = [
    "uint",
    "int",
    "fixed",
    "bytes",
    "address",
    "bool",
    "string",
    "function",
    "tuple",
    "8",
    "7",
    "256",
    "32",
    "33",
]
PIECES += ["33", "0", "128x18", "128x80", "128x81", "[", "]", "[]", "[2]", "[0]", "(", ")", ",", " "]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join))
def test_a_type_is_one_for_eth_abi_too(text: str) -> None:
    # eth-abi takes `int` for int256, which a signature writes out, and lets bool8 and its like pass for bool.
    loose = r"(?<![a-z])(u?int|u?fixed)(?![0-9a-z])|(address|bool|string|function)[0-9]"
    if not re.search(loose, text):
        assert is_type(text) == known_to_eth_abi(text)


@given(
    st.recursive(
        st.sampled_from([*STATIC, *DYNAMIC]),
        lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({','.join(parts)})[]"),
    )
)
def test_every_nesting_is_a_type(text: str) -> None:
    assert is_type(text)
    assert known_to_eth_abi(text)
