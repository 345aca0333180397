"""Back-fills of contracts that a factory makes: found first, and then read, whoever finds them when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from app.chain.types.indexing import Finality, IndexOptions, RangeLimits
from tests.chain.conftest import CHAIN_ID, Indexer, reindexed
from tests.chain.emitter import Chain
from tests.chain.team import DEPTH, InOrder, Team
from tests.chain.test_factories import Plant, rows

pytestmark = pytest.mark.chain


@pytest.fixture
def plant(chain: Chain, tmp_path: Path) -> Plant:
    """A factory beside the emitter that its children are copies of."""
    return Plant(chain, tmp_path)


@pytest.fixture
def indexer(indexer: Indexer, clean: Indexer, plant: Plant) -> Indexer:
    """The factory's indexer, and a clean one beside it."""
    clean.contracts = plant.protocol().contract_set
    clean.projections = {"plant": [InOrder(CHAIN_ID)]}
    return replace(
        indexer,
        contracts=clean.contracts,
        options=IndexOptions(finality=Finality(DEPTH), limits=RangeLimits(max_blocks=3)),
        projections={"plant": [InOrder(CHAIN_ID)]},
    )


@pytest.fixture
def team(indexer: Indexer) -> Team:
    """A plan's job and its workers."""
    return Team(indexer)


def live(plant: Plant, dice: Random) -> None:
    """A block of the factory's world: a contract is made, or one moves."""
    children = plant.children()
    if not children or dice.random() < 0.3:
        plant.chain.send(plant.making(1))
    else:
        plant.chain.send(plant.chain.moved(7, 7, to=dice.choice(children)))


def grown(plant: Plant, blocks: int, seed: int = 1) -> None:
    """So many blocks of it."""
    dice = Random(seed)  # noqa: S311 - no secret
    for _ in range(blocks):
        live(plant, dice)


def catch_up(indexer: Indexer) -> None:
    """The live head reads all there is."""
    while indexer.run().behind:
        pass


def assert_clean(indexer: Indexer, clean: Indexer, plant: Plant) -> None:
    """The tables are those of a clean index, and a clean index is the chain."""
    catch_up(indexer)
    assert indexer.state() == reindexed(clean)
    assert rows(indexer) == plant.logs()


@pytest.mark.parametrize("seed", range(2))
def test_children_of_old_blocks_are_known_to_later_chunks_and_to_the_live_head(
    seed: int, plant: Plant, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    grown(plant, 30, seed)
    dice = Random(seed)  # noqa: S311 - no secret

    def meanwhile() -> None:
        live(plant, dice)
        indexer.run()

    team.finish(seed, meanwhile)
    assert_clean(indexer, clean, plant)


def test_the_first_round_reads_creations_alone_and_the_second_knows_them_all(
    plant: Plant, indexer: Indexer, team: Team
) -> None:
    grown(plant, 10)
    catch_up(indexer)
    stands = plant.chain.head() + 1
    grown(plant, 25, seed=2)
    final = plant.chain.head() - DEPTH
    assert team.look().message.endswith("chunks are read for creations")
    for job in team.waiting():
        team.read(job)
    assert {address for block, _, address in rows(indexer) if block >= stands} == {plant.address}
    team.look()
    made = [log for log in plant.logs() if log[2] == plant.address and log[0] <= final]
    assert indexer.rows("SELECT children_known FROM chain_backfills") == [(len(made),)]
    assert indexer.rows("SELECT count(*) FROM chain_children") == [(len(made),)]
    team.look()
    assert team.waiting()[0][1] == stands  # what was read before the plan was complete
    assert not team.seen.message.endswith("for creations")


def test_a_set_that_has_read_a_part_knows_its_children(
    plant: Plant, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    grown(plant, 10)
    catch_up(indexer)
    grown(plant, 25, seed=2)
    team.finish(seed=2)
    assert_clean(indexer, clean, plant)


def test_a_creation_that_a_node_left_out_is_found_by_its_chunk_and_all_begins_again(
    plant: Plant, indexer: Indexer, clean: Indexer, team: Team
) -> None:
    grown(plant, 30)
    while team.look().message.endswith("for creations"):
        for job in team.waiting():
            team.read(job)
        with indexer.engine.begin() as connection:
            connection.exec_driver_sql(
                "DELETE FROM chain_events WHERE block_number = (SELECT min(block_number) FROM chain_events)"
            )
        catch_up(indexer)
    known = indexer.rows("SELECT children_known FROM chain_backfills")[0][0]
    team.finish(seed=3)
    assert len(plant.children()) > known
    assert_clean(indexer, clean, plant)


def test_a_fork_below_finality_makes_other_children(plant: Plant, indexer: Indexer, clean: Indexer, team: Team) -> None:
    grown(plant, 30)
    while team.look().stage == "reading" and "for creations" in team.seen.message:
        for job in team.waiting():
            team.read(job)
        catch_up(indexer)
    for job in team.waiting()[2:]:
        team.read(job)
    plant.chain.reorg(20, (plant.making(2), 0), (plant.making(1), 4))
    catch_up(indexer)
    assert indexer.rows("SELECT children_known FROM chain_backfills") == [(None,)]
    for child in plant.children()[-3:]:
        plant.chain.send(plant.chain.moved(7, 7, to=child))
    plant.chain.mine(DEPTH)
    team.finish(seed=4)
    assert_clean(indexer, clean, plant)
