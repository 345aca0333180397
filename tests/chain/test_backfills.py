"""Back-fills on a real node and database: chunks in any order, beside a live head, end as an index in order would.

The projection of these tests refuses events that are not later than all it has.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.services.audit import audit
from app.chain.services.backfill import backfill
from app.chain.services.history import require_history, sets_without_history
from app.chain.types.indexing import Finality, IndexOptions, RangeLimits
from tests.chain.conftest import CHAIN_ID, Indexer, assert_clean, grow, once
from tests.chain.emitter import Chain
from tests.chain.ledger import Ledger
from tests.chain.team import DEPTH, InOrder, Team, end
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain

OPTIONS = IndexOptions(finality=Finality(DEPTH), limits=RangeLimits(max_blocks=3))
# Everything the set and its chunks have read, as one thing, and its size when each is counted by itself.
COVERED = """
    SELECT range_agg(int8range(start_block, next_block))::text, sum(next_block - start_block) FROM chain_cursors
"""


@pytest.fixture
def indexer(indexer: Indexer) -> Indexer:
    """Small ranges, a small depth of finality, and a projection that wants its events in order."""
    return replace(indexer, options=OPTIONS, projections={"emitter": [InOrder(CHAIN_ID)]})


@pytest.fixture
def team(indexer: Indexer) -> Team:
    """A plan's job and its workers."""
    return Team(indexer)


def catch_up(indexer: Indexer) -> None:
    """The live head reads all there is."""
    while indexer.run().behind:
        pass


def test_the_live_head_serves_today_s_events_at_once_and_nothing_is_folded_before_history(
    chain: Chain, indexer: Indexer, team: Team
) -> None:
    grow(chain, 30)
    team.look()
    final = chain.head() - DEPTH
    catch_up(indexer)
    assert indexer.events() == [log for log in chain.logs() if log[0] > final]
    assert indexer.rows("SELECT start_block, next_block FROM chain_cursors") == [(final + 1, chain.head() + 1)]
    assert indexer.rows("SELECT * FROM test_moves") == []
    chain.mine(2 * DEPTH)
    catch_up(indexer)  # of the live head's own blocks some are final, too
    with Session(indexer.engine) as session:
        assert sets_without_history(session) == ["emitter"]
        require_history(session, ["another"])
        with pytest.raises(errors.HistoryMissing):
            require_history(session, ["emitter"])
        assert audit(team.work(session), indexer.providers, blocks=10) is None


@pytest.mark.parametrize("seed", range(3))
def test_chunks_in_any_order_beside_a_growing_chain_end_as_an_index_in_order(
    seed: int, chain: Chain, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    dice = Random(seed)  # noqa: S311 - no secret
    grow(chain, 40)

    def meanwhile() -> None:
        chain.move(dice.randrange(4), 7, times=2)
        if dice.random() < 0.7:
            indexer.run()

    result = team.finish(seed, meanwhile).result
    assert result is not None
    assert result["chunks"] == 10
    catch_up(indexer)
    assert_clean(indexer, clean, chain)
    assert indexer.rows("SELECT * FROM chain_backfills") == []
    assert indexer.rows("SELECT * FROM chain_range_sizes WHERE contract_set LIKE '%@%'") == []


def test_an_old_event_that_a_projection_cannot_take_is_marked_and_stops_nothing(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    for one in (indexer, clean):
        one.projections = {"emitter": [Ledger(CHAIN_ID, refused=[2])]}
    grow(chain, 30)
    Team(indexer).finish(seed=5)
    catch_up(indexer)
    assert_clean(indexer, clean, chain)
    marked = indexer.rows("SELECT DISTINCT decode_error FROM chain_events WHERE decode_error IS NOT NULL")
    assert marked == [("account 2",)]
    alarms = indexer.rows("SELECT kind, subject, detail->>'reason' FROM chain_alarms")
    assert alarms == [("malformed_event", "emitter.Moved", "account 2")]


def test_a_set_that_has_read_a_part_goes_on_from_there(
    chain: Chain, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    grow(chain, 12)
    catch_up(indexer)
    folded = indexer.rows("SELECT * FROM test_moves ORDER BY block_number, log_index")
    stands = chain.head() + 1
    grow(chain, 25)
    team.look()
    assert team.waiting()[0][1] == stands
    assert indexer.rows("SELECT * FROM test_moves ORDER BY block_number, log_index") == folded
    team.finish(seed=1)
    catch_up(indexer)
    assert_clean(indexer, clean, chain)


def test_whatever_is_read_is_read_once_and_in_the_end_nothing_is_left_out(
    chain: Chain, indexer: Indexer, team: Team
) -> None:
    grow(chain, 30)
    team.look()
    catch_up(indexer)
    for job in team.waiting():
        team.read(job)
    (covered, size) = indexer.rows(COVERED)[0]
    assert (covered, size) == (f"{{[0,{chain.head() + 1})}}", chain.head() + 1)


def test_a_set_at_the_head_has_nothing_to_plan(chain: Chain, indexer: Indexer, team: Team) -> None:
    grow(chain, 8)
    catch_up(indexer)
    before = indexer.state()
    assert team.look().result == {"chunks": 0}
    assert indexer.state() == before


def test_a_second_plan_is_the_first_one(chain: Chain, indexer: Indexer, team: Team) -> None:
    grow(chain, 20)
    team.look()
    planned = indexer.rows("SELECT * FROM chain_backfills")
    waiting = team.waiting()
    grow(chain, 20)
    again = Team(indexer, chunk_blocks=7)
    again.look()
    assert indexer.rows("SELECT * FROM chain_backfills") == planned
    assert again.waiting() == waiting
    assert again.seen.jobs == team.seen.jobs


def test_progress_tells_what_is_read_and_then_what_is_folded(
    chain: Chain, indexer: Indexer, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.chain.services.backfill_fold.BATCH_EVENTS", 5)
    grow(chain, 30)
    told = [team.look()]
    while team.seen.result is None:
        if team.waiting():
            team.read(team.waiting()[0])
        told.append(team.look())
    fractions = [look.fraction for look in told[:-1]]
    assert fractions == sorted(set(fractions))
    assert (fractions[0], fractions[-1] < 1) == (0, True)
    assert [look.stage for look in told[:-1]] == sorted((look.stage for look in told[:-1]), reverse=True)
    assert told[1].message == "1 of 7 chunks are read"
    assert {look.stage for look in told[:-1]} == {"reading", "folding"}


@pytest.mark.parametrize("depth", [1, 3, DEPTH])
def test_a_reorg_up_to_the_boundary_does_not_reach_into_a_chunk(
    depth: int, chain: Chain, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    grow(chain, 30)
    team.look()
    catch_up(indexer)
    for job in team.waiting()[:2]:
        team.read(job)
    read = indexer.rows("SELECT name, next_block, tip_hash, rewinds FROM chain_cursors WHERE name <> 'emitter'")
    final = chain.head() - DEPTH
    stored = [event for event in indexer.events() if event[0] <= final]
    chain.reorg(depth, (chain.moved(1, -1, times=2), 0))
    report = indexer.run()
    assert report.rewinds == 1
    assert indexer.rows("SELECT name, next_block, tip_hash, rewinds FROM chain_cursors WHERE name <> 'emitter'") == read
    assert [event for event in indexer.events() if event[0] <= final] == stored
    assert indexer.rows("SELECT * FROM chain_alarms WHERE kind = 'fork_below_finality'") == []
    team.finish(seed=depth)
    catch_up(indexer)
    assert_clean(indexer, clean, chain)


def test_a_reorg_while_folding_has_gone_past_it_is_folded_again(
    chain: Chain, indexer: Indexer, clean: Indexer, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.chain.services.backfill_fold.BATCH_EVENTS", 4)
    grow(chain, 30)
    team.look()
    catch_up(indexer)
    for job in team.waiting():
        team.read(job)
    final = chain.head() - DEPTH
    while indexer.rows("SELECT fold_block FROM chain_backfills")[0][0] <= final + 1:
        assert team.look().stage == "folding"
    chain.reorg(DEPTH, (chain.moved(1, -1, times=2), 0))
    assert indexer.run().rewinds == 1
    assert indexer.rows("SELECT fold_block FROM chain_backfills") == [(final + 1,)]
    team.finish(seed=3)
    catch_up(indexer)
    assert_clean(indexer, clean, chain)


def test_a_fork_below_finality_rewinds_chunks_and_they_are_read_again(
    chain: Chain, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    grow(chain, 30)
    team.look()
    catch_up(indexer)
    for job in team.waiting():
        team.read(job)
    chain.reorg(17, (chain.moved(1, -1, times=2), 0), (chain.moved(2, -2), 9))
    catch_up(indexer)
    assert indexer.rows("SELECT count(*) FROM chain_alarms WHERE kind = 'fork_below_finality'") == [(1,)]
    chain.mine(DEPTH)
    team.finish(seed=4)
    catch_up(indexer)
    assert_clean(indexer, clean, chain)


def test_chunks_of_another_chain_than_the_node_s_are_found_out_before_anything_is_folded(
    chain: Chain, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    """The live head has not looked since: the plan's own comparison must notice."""
    grow(chain, 30)
    team.look()
    for job in team.waiting():
        team.read(job)
    chain.reorg(17, (chain.moved(1, -1, times=2), 0))
    chain.mine(DEPTH)
    assert team.look().stage == "reading"
    assert indexer.rows("SELECT * FROM test_moves") == []
    team.finish(seed=5)
    catch_up(indexer)
    assert_clean(indexer, clean, chain)


def test_a_head_that_read_before_history_was_whole_does_not_write_after_it(
    chain: Chain, indexer: Indexer, clean: Indexer, team: Team, proxied: NodeProxy
) -> None:
    """Its range would be in the tables and in no projection."""
    grow(chain, 30)
    team.look()
    catch_up(indexer)
    for job in team.waiting():
        team.read(job)
    chain.move(1, 5)

    def join() -> None:
        provider = Provider(chain.url, chain_id=CHAIN_ID)
        other = Team(replace(indexer, providers=Providers([provider])))
        other.seen = team.seen
        assert other.look().result is not None
        provider.close()

    once(proxied, "eth_getLogs", join)
    with pytest.raises(errors.CursorMoved):
        indexer.run()
    catch_up(indexer)
    assert_clean(indexer, clean, chain)


def test_a_chunk_s_job_that_fails_ends_the_plan_s_and_the_next_one_goes_on(
    chain: Chain, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    grow(chain, 30)
    team.look()
    failing, *others = team.waiting()
    for job in others:
        team.read(job)
    with Session(indexer.engine) as session:
        end(session, failing[0], "failed")
        session.commit()
    with pytest.raises(errors.BackfillStopped) as stopped:
        team.look()
    assert stopped.value.facts == {"job_id": failing[0]}
    again = Team(indexer)
    again.look()
    assert [job[1:] for job in again.waiting()] == [failing[1:]]
    again.finish(seed=6)
    catch_up(indexer)
    assert_clean(indexer, clean, chain)


def test_reading_a_range_again_beside_a_plan_keeps_no_cursor_of_it(chain: Chain, indexer: Indexer, team: Team) -> None:
    grow(chain, 30)
    team.look()
    with Session(indexer.engine) as session:
        backfill(team.work(session), indexer.providers, first=2, last=6, progress=lambda report: None)
        session.commit()
    assert indexer.rows("SELECT name FROM chain_cursors") == [("emitter",)]
    assert {event[0] for event in indexer.events()} <= set(range(2, 7))


def test_a_halted_set_is_not_planned(chain: Chain, indexer: Indexer, team: Team) -> None:
    grow(chain, 10)
    indexer.run(last_block=2)
    with indexer.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chain_cursors SET halted_at = now(), halted_reason = 'a fork'")
    with pytest.raises(errors.SetHalted):
        team.look()
    assert indexer.rows("SELECT * FROM chain_backfills") == []
