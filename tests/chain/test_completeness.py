"""Holding an answer against its headers, by itself: what is checked, what it costs, what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain import errors
from app.chain.adapters.logs import read_window
from app.chain.adapters.rpc import Provider
from app.chain.maths.completeness import Allowance, Budget
from app.chain.services.completeness import complete
from app.chain.types.indexing import Checked, CheckLimits, IndexOptions, Loss, RangeLimits
from tests.chain.conftest import CHAIN_ID, Indexer, contract_set
from tests.chain.emitter import Chain
from tests.fakes import lies
from tests.fakes.node_proxy import Answer, Calls, NodeProxy, error, said

pytestmark = pytest.mark.chain


@given(
    st.integers(0, 2000), st.booleans(), st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=30)
)
def test_never_more_than_the_share_and_one_saving(rate: int, full: bool, windows: list[tuple[int, int]]) -> None:
    allowance, blocks, spent = Allowance(rate, full=full), 0, 0
    for size, wanted in windows:
        allowance.earn(size)
        blocks += size
        spent += (granted := allowance.spend(wanted))
        assert 0 <= granted <= wanted
        assert spent * 1000 <= blocks * rate + (rate * 1000 if full else 0)


@pytest.fixture
def between(chain: Chain) -> Iterator[NodeProxy]:
    proxy = NodeProxy(chain.url)
    yield proxy
    proxy.close()


@pytest.fixture
def check(chain: Chain, between: NodeProxy) -> Iterator[Callable[..., Checked]]:
    """Read the whole chain through the proxy and check it."""
    node = Provider(between.url, chain_id=CHAIN_ID, attempts=1)
    contracts = contract_set(chain)

    def _check(settled: bool = True, **limits: Any) -> Checked:
        window = read_window(node, contracts, first=0, last=chain.head(), known={}, settled=settled)
        some = CheckLimits(**limits)
        return complete(node, contracts, window, Budget(some), settled=settled, limits=some)

    yield _check
    node.close()


def places(checked: Checked) -> list[tuple[int, int]]:
    return [(log.block_number, log.log_index) for log in checked.window.logs]


def true_places(chain: Chain) -> list[tuple[int, int]]:
    return [(row[0], row[2]) for row in chain.logs()]


def filled(chain: Chain, blocks: int = 10) -> None:
    for block in range(blocks):
        chain.move(block, 1, times=2)


def test_one_suspect_that_proves_a_loss_has_all_read_again_whatever_the_bound(
    chain: Chain, between: NodeProxy, check: Callable[..., Checked]
) -> None:
    filled(chain)
    between.after = lies.answering(lies.without_blocks([3, 5, 6]))
    checked = check(final_calls_per_1000_blocks=2, receipts=False)
    assert places(checked) == true_places(chain)
    assert checked.losses == (Loss(3, 2, 0), Loss(5, 2, 0), Loss(6, 2, 0))
    assert (checked.repaired, checked.calls, checked.unchecked) == (6, 10, 0)


def test_without_calls_left_suspects_are_counted_and_left(
    chain: Chain, between: NodeProxy, check: Callable[..., Checked]
) -> None:
    filled(chain)
    between.after = lies.answering(lies.without_blocks([3, 5, 6]))
    checked = check(final_calls_per_1000_blocks=0)
    assert (checked.calls, checked.unchecked, checked.losses) == (0, 3, ())


@pytest.mark.parametrize("receipts", [True, False])
def test_near_the_head_receipts_find_what_blooms_cannot(
    receipts: bool, chain: Chain, between: NodeProxy, check: Callable[..., Checked]
) -> None:
    filled(chain)
    between.after = lies.answering(lies.without_first_of([4]))
    checked = check(settled=False, receipts=receipts)
    assert (places(checked) == true_places(chain)) is receipts
    assert checked.losses == ((Loss(4, 1, 0),) if receipts else ())


def test_a_log_that_was_made_up_is_taken_out(chain: Chain, between: NodeProxy, check: Callable[..., Checked]) -> None:
    filled(chain)
    chain.mine()
    empty = chain.ask("eth_getBlockByNumber", hex(chain.head()), False)

    def invented(query: lies.Query, logs: lies.Logs) -> lies.Logs:
        here = {"blockNumber": empty["number"], "blockHash": empty["hash"], "logIndex": "0x0"}
        return [*logs, logs[0] | here] if lies.is_range(query) else logs

    between.after = lies.answering(invented)
    checked = check()
    assert places(checked) == true_places(chain)
    assert checked.losses == (Loss(chain.head(), 0, 1),)


def test_a_list_cut_at_a_round_number_is_looked_at_where_it_ends(
    chain: Chain, between: NodeProxy, check: Callable[..., Checked]
) -> None:
    chain.move(1, 1, times=60)
    chain.move(1, 1, times=60)
    between.after = lies.answering(lies.cut_at(100))
    checked = check(receipts=False)
    assert places(checked) == true_places(chain)
    assert checked.losses == (Loss(chain.head(), 20, 0),)


def test_a_node_without_receipts_is_checked_by_hash_and_says_so(
    chain: Chain, between: NodeProxy, check: Callable[..., Checked]
) -> None:
    filled(chain)
    between.after = lies.answering(lies.without_blocks([3]))

    def no_receipts(calls: Calls) -> Answer | None:
        if calls[0]["method"] != "eth_getBlockReceipts":
            return None
        return said([error(call, -32601, "the method eth_getBlockReceipts does not exist") for call in calls])

    between.before = no_receipts
    checked = check(settled=False)
    assert places(checked) == true_places(chain)
    assert checked.unusable == "the method eth_getBlockReceipts does not exist"


def test_a_chain_without_filters_is_still_sampled(
    chain: Chain, between: NodeProxy, check: Callable[..., Checked]
) -> None:
    filled(chain)

    def no_blooms(calls: Calls, answer: Any) -> Any:
        for item in answer if isinstance(answer, list) else [answer]:
            if isinstance(item["result"], dict) and "logsBloom" in item["result"]:
                item["result"]["logsBloom"] = "0x" + "00" * 256
        return answer

    between.after = no_blooms
    # Here the header's hash covers the filter that the proxy took away; on such a chain it covers an empty one.
    checked = check(blooms=False, header_hashes=False)
    assert (checked.losses, checked.calls) == ((), chain.head() + 1)
    assert check(blooms=False, header_hashes=False, final_calls_per_1000_blocks=5).calls == 4
    assert check(blooms=True, receipts=False).calls == 10  # every block with logs looks made up: hence the setting


def test_without_filters_the_sample_finds_old_partial_losses(
    chain: Chain, between: NodeProxy, check: Callable[..., Checked]
) -> None:
    filled(chain)
    between.after = lies.answering(lies.without_first_of([4]))
    assert check().losses == (), "a filter cannot tell, and no sample of ten blocks is due"
    checked = check(blooms=False)
    assert checked.losses == (Loss(4, 1, 0),)
    assert places(checked) == true_places(chain)


def test_a_block_too_full_for_a_range_is_read_from_its_receipts(
    chain: Chain, indexer: Indexer, proxied: NodeProxy
) -> None:
    filled(chain, 4)
    chain.move(1, 1, times=40)
    filled(chain, 2)

    def over_full(calls: Calls, answer: Any) -> Any:
        answers = answer if isinstance(answer, list) else [answer]
        found = [
            error(call, -32005, "query returned more than 30 results")
            if call["method"] == "eth_getLogs" and len(item["result"]) > 30
            else item
            for call, item in zip(calls, answers, strict=True)
        ]
        return found if isinstance(answer, list) else found[0]

    proxied.after = over_full
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=8))
    while indexer.run().behind:
        pass
    assert indexer.events() == chain.logs()


def test_receipts_that_contradict_their_header_are_never_believed(
    chain: Chain, indexer: Indexer, proxied: NodeProxy
) -> None:
    filled(chain, 3)

    def cut(calls: Calls, answer: Any) -> Any:
        for call, item in zip(calls, answer if isinstance(answer, list) else [answer], strict=True):
            if call["method"] == "eth_getBlockReceipts":
                item["result"][0]["logs"].pop()
        return answer

    proxied.after = cut
    with pytest.raises(errors.NodeInconsistent):
        indexer.run()
    assert indexer.events() == []
    assert [kind for (kind,) in indexer.rows("SELECT kind FROM chain_alarms ORDER BY kind")] == [
        "node_inconsistent",
        "provider_avoided",
    ]
