"""The indexer on a real node and a real database, without reorgs: what it writes, what it costs, where it stops."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.types.indexing import Finality, IndexOptions, RangeLimits
from tests.chain.conftest import CHAIN_ID, Indexer, assert_clean, contract_set, grow, reindexed, replaced
from tests.chain.emitter import Chain, compiled
from tests.chain.ledger import Ledger

pytestmark = pytest.mark.chain


def test_rows_are_the_chain_s_logs(chain: Chain, indexer: Indexer) -> None:
    for block in range(12):
        chain.move(block % 3, 10 - block, times=block % 4)
    chain.send(chain.call_of("note(uint256,string)", 7, "a note"))
    report = indexer.run()
    logs = chain.logs()
    assert indexer.events() == logs
    assert report.rows == report.events == len(logs)
    assert (report.next_block, report.behind) == (chain.head() + 1, False)
    kept = indexer.rows("SELECT number, hash, parent_hash FROM chain_headers ORDER BY number")
    assert kept == chain.headers(chain.head())
    # Account 0 moved in the blocks 3, 6 and 9 of the loop: 3 times 7, 2 times 4 and once 1.
    assert indexer.rows("SELECT total, moves FROM test_sums WHERE account = 0") == [(30, 6)]


def test_a_tick_without_new_blocks_is_one_request(chain: Chain, indexer: Indexer) -> None:
    chain.move(1, 1)
    indexer.run()
    report = indexer.run()
    assert (report.requests, report.steps, report.rows) == (1, 0, 0)


def test_a_new_block_is_two_requests_and_with_events_a_third_for_its_receipts(chain: Chain, indexer: Indexer) -> None:
    indexer.run()
    chain.mine()
    assert indexer.run().requests == 2
    chain.move(1, 5, times=2)
    report = indexer.run()
    assert (report.requests, report.rows, report.next_block) == (3, 2, chain.head() + 1)
    assert (report.checks, report.repaired) == (1, 0)


def test_one_call_reads_in_bounded_steps_and_the_next_goes_on(chain: Chain, indexer: Indexer) -> None:
    for amount in range(10):
        chain.move(1, amount)
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=3), max_steps=2)
    first = indexer.run()
    assert (first.blocks, first.steps, first.behind) == (6, 2, True)
    assert indexer.rows("SELECT next_block FROM chain_cursors") == [(6,)]
    while indexer.run().behind:
        pass
    assert indexer.events() == chain.logs()


def test_a_lowered_limit_holds_for_the_very_next_range(chain: Chain, indexer: Indexer) -> None:
    chain.mine(200)
    indexer.run(last_block=150)
    assert indexer.rows("SELECT blocks > 3 FROM chain_range_sizes") == [(True,)]
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=3), max_steps=1)
    assert indexer.run().blocks == 3


def test_reading_stops_at_the_asked_block(chain: Chain, indexer: Indexer) -> None:
    for amount in range(6):
        chain.move(1, amount)
    report = indexer.run(last_block=3)
    assert (report.next_block, report.behind) == (4, False)
    assert indexer.events() == [log for log in chain.logs() if log[0] <= 3]


def test_headers_are_kept_to_the_set_depth_and_the_first_for_good(chain: Chain, indexer: Indexer) -> None:
    indexer.options = IndexOptions(header_depth=5, limits=RangeLimits(max_blocks=4))
    chain.mine(20)
    indexer.run()
    head = chain.head()
    assert indexer.rows("SELECT number FROM chain_headers ORDER BY number") == [
        (number,) for number in [0, *range(head - 4, head + 1)]
    ]


def test_finality_by_tag_and_by_depth_is_kept_with_the_cursor(chain: Chain, indexer: Indexer) -> None:
    chain.mine(30)
    indexer.run()
    tagged = int(chain.ask("eth_getBlockByNumber", "finalized", False)["number"], 16)
    assert indexer.rows("SELECT head_block, final_block FROM chain_cursors") == [(chain.head(), tagged)]
    indexer.options = IndexOptions(finality=Finality(2))
    chain.mine(1)
    indexer.run()
    final = chain.head() - 2
    assert indexer.rows("SELECT final_block FROM chain_cursors") == [(final,)]
    indexer.options = IndexOptions(finality=Finality(10))
    for blocks in (1, 0):  # with a new block and without: what was final once stays so
        chain.mine(blocks)
        indexer.run()
        assert indexer.rows("SELECT final_block FROM chain_cursors") == [(final,)]


def test_two_sets_with_an_address_in_common_share_its_rows(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    for amount in range(5):
        chain.move(1, amount)
    other = replace(indexer, contracts=contract_set(chain, name="other", start_block=3))
    indexer.run()
    report = other.run()
    assert (report.rows, report.events) == (0, len([log for log in chain.logs() if log[0] >= 3]))
    chain.move(1, 9)
    assert other.run().rows == 1
    assert indexer.run().rows == 0
    assert indexer.rows("SELECT total FROM test_sums") == [(0 + 1 + 2 + 3 + 4 + 9,)]
    assert indexer.events() == chain.logs() == clean_events(clean)


def clean_events(clean: Indexer) -> list[tuple[object, ...]]:
    reindexed(clean)
    return clean.events()


def test_data_that_does_not_fit_is_marked_and_stays(chain: Chain, indexer: Indexer) -> None:
    topic = chain.topic("Moved")
    fits = (5).to_bytes(32, "big") + (1).to_bytes(32, "big")
    chain.send(chain.call_of("raw(bytes32,uint256,bytes)", topic, 1, fits))
    chain.send(chain.call_of("raw(bytes32,uint256,bytes)", topic, 1, fits[:40]))
    chain.send(chain.call_of("raw(bytes32,uint256,bytes)", topic, 1, b"\xff" * 64))
    chain.move(1, 3)
    report = indexer.run()
    assert (report.events, report.rows, report.malformed) == (4, 4, 2)
    assert indexer.events() == chain.logs()
    marks = [mark for (mark,) in indexer.rows("SELECT decode_error FROM chain_events ORDER BY block_number")]
    assert [mark is None for mark in marks] == [True, False, False, True]
    assert marks[1].startswith("Moved: data does not fit the ABI")
    assert marks[2].startswith("Moved: step does not fit the ABI")
    assert indexer.rows("SELECT total, moves FROM test_sums") == [(8, 2)]
    assert indexer.rows("SELECT kind, subject, count FROM chain_alarms") == [("malformed_event", "emitter.Moved", 1)]


def test_a_dense_chain_is_read_in_smaller_ranges(chain: Chain, indexer: Indexer) -> None:
    for amount in range(8):
        chain.move(1, amount, times=20)
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=4, target_events=40))
    report = indexer.run()
    assert report.rows == 160
    assert indexer.rows("SELECT blocks FROM chain_range_sizes") == [(2,)]


def test_a_set_of_another_chain_is_refused(chain: Chain, indexer: Indexer, provider: Provider) -> None:
    indexer.contracts = contract_set(chain, chain_id=1)
    with pytest.raises(errors.ChainMismatch):
        indexer.run()
    assert indexer.rows("SELECT * FROM chain_cursors") == []


def test_the_first_provider_that_answers_is_used(chain: Chain, indexer: Indexer, provider: Provider) -> None:
    dead = Provider("http://127.0.0.1:9", chain_id=CHAIN_ID, attempts=1)
    other = Provider(chain.url, chain_id=CHAIN_ID + 1)
    indexer.providers = Providers([dead, other, provider])
    chain.move(1, 1)
    assert indexer.run().rows == 1
    other.close()


def test_a_cursor_that_moved_meanwhile_is_not_written_over(chain: Chain, indexer: Indexer) -> None:
    for amount in range(6):
        chain.move(1, amount)
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=2))
    commits = 0

    def another_comes_first(session: Session) -> None:
        nonlocal commits
        commits += 1
        session.commit()
        if commits == 2:  # after the first range: another worker reads all the rest
            assert replace(indexer, options=IndexOptions()).run().behind is False

    with pytest.raises(errors.CursorMoved):
        indexer.run(commit=another_comes_first)
    assert indexer.events() == chain.logs()
    assert indexer.rows("SELECT total, moves FROM test_sums") == [(15, 6)]


def test_a_halted_set_is_not_read(chain: Chain, indexer: Indexer) -> None:
    indexer.run()
    with indexer.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chain_cursors SET halted_at = now(), halted_reason = 'an operator looks'")
    chain.move(1, 1)
    with pytest.raises(errors.SetHalted, match="an operator looks"):
        indexer.run()
    assert indexer.events() == []


def test_a_large_answer_is_asked_for_in_pieces(chain: Chain, indexer: Indexer) -> None:
    for amount in range(8):
        chain.move(1, amount, times=150)
    node = Provider(chain.url, chain_id=CHAIN_ID, max_answer_bytes=300_000)
    indexer.providers = Providers([node])
    assert indexer.run().rows == 1200
    assert indexer.events() == chain.logs()
    assert indexer.rows("SELECT ceiling < 9 FROM chain_range_sizes") == [(True,)]
    node.close()


def test_events_of_the_abi_are_all_watched(chain: Chain, indexer: Indexer) -> None:
    names = {entry["name"] for entry in compiled()["abi"] if entry["type"] == "event"}
    assert {watched.name for watched in indexer.contracts.watched.values()} == names


def test_an_event_that_a_projection_cannot_take_keeps_its_row_and_stops_nothing(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    for one in (indexer, clean):
        one.projections = {"emitter": [Ledger(CHAIN_ID, refused=[2])]}
    grow(chain, 6)
    chain.send(chain.call_of("note(uint256,string)", 2, "not folded, and refused all the same"))
    report = indexer.run()
    assert indexer.events() == chain.logs()
    marked = indexer.rows("SELECT decode_error FROM chain_events WHERE decode_error IS NOT NULL")
    assert set(marked) == {("account 2",)}
    assert report.malformed == len(marked) == 3
    assert indexer.rows("SELECT DISTINCT account FROM test_sums WHERE account = 2") == []
    assert indexer.rows("SELECT kind, subject FROM chain_alarms ORDER BY subject") == [
        ("malformed_event", "emitter.Moved"),
        ("malformed_event", "emitter.Noted"),
    ]
    chain.reorg(3, *replaced(chain, 3))
    indexer.run()
    assert_clean(indexer, clean, chain)
