"""Forks: decisions from headers alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.errors import NodeBehind, NodeInconsistent
from app.chain.maths.forks import check_window, final_block, last_common, parse_finality, rewind_to, search_chunks
from app.chain.types.blocks import Header, Log
from app.chain.types.indexing import Finality, Rewind


def ours(last: int, first: int = 0) -> dict[int, bytes]:
    """Hashes of a chain, newest first."""
    return {number: b"ours%d" % number for number in range(last, first - 1, -1)}


def theirs(head: int, fork: int) -> dict[int, bytes]:
    """A node that agrees below `fork`."""
    return {number: (b"ours%d" if number < fork else b"theirs%d") % number for number in range(head + 1)}


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_the_search_finds_the_fork(tip: int, head: int, fork: int, depth: int) -> None:
    believed = ours(tip, max(0, tip - depth))
    node_chain = theirs(head, fork)
    asked: dict[int, bytes] = {}
    for chunk in search_chunks([number for number in believed if number <= head]):
        asked |= {number: node_chain[number] for number in chunk}
        if last_common(believed, asked) is not None:
            break
    common = max((number for number in believed if number < fork and number <= head), default=None)
    assert last_common(believed, asked) == common


def test_the_search_is_one_request_for_a_shallow_fork() -> None:
    first, *rest = search_chunks(range(1024, 0, -1))
    assert list(first) == list(range(1024, 1008, -1))
    assert sum(len(chunk) for chunk in rest) == 1024 - 16


@pytest.mark.parametrize(
    ("fork", "head", "final", "verdict"),
    [
        (8, 10, 5, Rewind(8, deep=False)),
        (6, 10, 5, Rewind(6, deep=False)),
        (5, 10, 5, Rewind(5, deep=True)),
        (0, 10, 5, Rewind(0, deep=True)),
        (0, 10, None, Rewind(0, deep=False)),
        (99, 7, 5, Rewind(8, deep=False)),
        (99, 5, 5, Rewind(6, deep=False)),
        (7, 8, 5, Rewind(7, deep=False)),
    ],
)
def test_what_a_fork_means(fork: int, head: int, final: int | None, verdict: Rewind) -> None:
    believed = ours(10)
    node = {number: theirs(head, fork)[number] for number in believed if number <= head}
    assert rewind_to(believed, node, start_block=0, final_block=final) == verdict


def test_a_node_that_only_ends_below_finality_lags() -> None:
    believed = ours(10)
    with pytest.raises(NodeBehind):
        rewind_to(believed, {number: believed[number] for number in range(5)}, start_block=0, final_block=5)
    with pytest.raises(NodeBehind):
        rewind_to(believed, {}, start_block=0, final_block=None)


def test_a_node_that_contradicts_itself_is_believed_only_below() -> None:
    believed = ours(10)
    node = {**theirs(10, 4), 9: b"ours9", 10: b"ours10"}
    assert last_common(believed, node) == 3


def headers(count: int) -> list[Header]:
    """A chain of headers."""
    return [Header(n, b"h%d" % n, b"h%d" % (n - 1), n) for n in range(1, count + 1)]


def log(block: int, index: int, block_hash: bytes | None = None) -> Log:
    """A log in block `block`."""
    return Log(block, block_hash or b"h%d" % block, index, b"t", 0, b"a", (b"topic",), b"")


@pytest.mark.parametrize(
    ("tip", "changed", "logs"),
    [
        (b"other", headers(3), []),
        (b"h0", [headers(3)[0], headers(3)[2]], []),
        (b"h0", headers(3), [log(2, 0, b"stale")]),
        (b"h0", headers(3), [log(4, 0)]),
        (b"h0", headers(3), [log(2, 1), log(2, 1)]),
        (b"h0", headers(3), [log(3, 0), log(2, 0)]),
    ],
    ids=["another tip", "a gap", "a stale log", "a log outside", "a log twice", "logs out of order"],
)
def test_what_does_not_belong_together_is_refused(tip: bytes, changed: Sequence[Header], logs: list[Log]) -> None:
    with pytest.raises(NodeInconsistent):
        check_window(tip, changed, logs)


def test_what_belongs_together_passes() -> None:
    check_window(b"h0", headers(3), [log(1, 0), log(1, 5), log(3, 2)])
    check_window(None, headers(3)[1:], [])


def test_finality() -> None:
    assert parse_finality("tag") == Finality()
    assert parse_finality("depth:12") == Finality(12)
    assert final_block(Finality(), 100, 68) == 68
    assert final_block(Finality(), 100, None) is None
    assert final_block(Finality(12), 100, 3) == 88
    assert final_block(Finality(12), 11, None) is None
    for bad in ("depth:-1", "depth:", "12", "tag ", "depth:٣"):
        with pytest.raises(ValueError, match="finality must be"):
            parse_finality(bad)
