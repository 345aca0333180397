"""Blooms against the filters that a real node makes, and against the yellow paper's rule written another way."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from app.chain.adapters.logs import read_window
from app.chain.adapters.rpc import Provider
from app.chain.maths.blooms import bloom_bits, may_hold, missing_from, not_in_bloom, watch_masks
from app.chain.types.blocks import Header, Log
from app.chain.types.indexing import Window
from tests.chain.conftest import contract_set
from tests.chain.emitter import Chain

addresses, topics = st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)
pairs = st.tuples(addresses, topics)


def filter_of(values: Iterable[bytes]) -> bytes:
    """The filter byte by byte, as the yellow paper counts bits: bit 0 is the lowest of the last byte."""
    field = bytearray(256)
    for value in values:
        digest = keccak(value)
        for high, low in (digest[0:2], digest[2:4], digest[4:6]):
            bit = ((high & 0b111) << 8) | low
            field[255 - bit // 8] |= 1 << (bit % 8)
    return bytes(field)


def header_of(values: Iterable[bytes]) -> Header:
    return Header(1, b"\1" * 32, b"\0" * 32, 0, logs_bloom=filter_of(values))


def log_of(header: Header, pair: tuple[bytes, bytes]) -> Log:
    return Log(header.number, header.hash, 0, b"\2" * 32, 0, pair[0], (pair[1],), b"")


@given(st.binary(max_size=64))
def test_bits_are_the_yellow_paper_s(value: bytes) -> None:
    assert bloom_bits(value).to_bytes(256) == filter_of([value])


@given(st.lists(pairs, max_size=20), st.lists(pairs, min_size=1, max_size=5), st.data())
def test_a_block_that_holds_a_watched_log_is_never_passed_over(
    others: list[tuple[bytes, bytes]], watched: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    held = data.draw(st.sampled_from(watched))
    header = header_of([part for pair in [*others, held] for part in pair])
    assert missing_from([header], [], watch_masks(watched)) == (header,)
    assert missing_from([header], [log_of(header, held)], watch_masks(watched)) == ()
    assert not_in_bloom([header], [log_of(header, held)]) == ()


@given(st.lists(pairs, max_size=3), st.lists(pairs, min_size=1, max_size=3))
def test_what_the_filter_rules_out_is_not_asked_for(
    held: list[tuple[bytes, bytes]], watched: list[tuple[bytes, bytes]]
) -> None:
    header = header_of([part for pair in held for part in pair])
    field = int.from_bytes(header.logs_bloom)
    wanted = [any(int.from_bytes(filter_of(pair)) & ~field == 0 for pair in [pair]) for pair in watched]
    assert may_hold(header, watch_masks(watched)) is any(wanted)
    for pair, possible in zip(watched, wanted, strict=True):
        assert bool(not_in_bloom([header], [log_of(header, pair)])) is not possible


def test_an_address_and_a_topic_of_different_pairs_are_no_watched_event() -> None:
    one, other = (b"\1" * 20, b"\1" * 32), (b"\2" * 20, b"\2" * 32)
    assert not may_hold(header_of([one[0], other[1]]), watch_masks([one, other]))


def test_a_header_without_a_filter_may_hold_anything() -> None:
    bare = Header(1, b"\1" * 32, b"\0" * 32, 0)
    assert may_hold(bare, watch_masks([(b"\1" * 20, b"\1" * 32)]))
    assert not_in_bloom([bare], [log_of(bare, (b"\1" * 20, b"\1" * 32))]) == ()


@pytest.mark.chain
def test_a_real_node_s_filters_name_the_blocks_with_logs_and_no_other(chain: Chain, provider: Provider) -> None:
    elsewhere = chain.deploy()
    for block in range(30):
        chain.send(chain.moved(block, 1, times=block % 3, to=elsewhere if block % 2 else None))
    window = whole(chain, provider)
    masks = watch_masks(contract_set(chain).watched)
    with_logs = {log.block_number for log in window.logs}
    assert {header.number for header in window.headers if may_hold(header, masks)} == with_logs != set()
    assert missing_from(window.headers, window.logs, masks) == not_in_bloom(window.headers, window.logs) == ()


def whole(chain: Chain, provider: Provider) -> Window:
    head = chain.head()
    return read_window(provider, contract_set(chain), first=0, last=head, known={}, settled=True)
