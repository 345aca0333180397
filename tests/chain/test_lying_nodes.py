"""Providers that leave logs out, lag, refuse and give up, between the indexer and an honest node: in the end the rows
are the chain's.
"""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy.orm import Session

from app.chain.services.alarms import record_alarm
from app.chain.services.audit import audit
from app.chain.services.work import Work
from app.chain.types.indexing import IndexOptions, RangeLimits
from app.chain.types.providers import RangeAudit
from tests.chain.conftest import Indexer, assert_clean
from tests.chain.emitter import Chain
from tests.chain.node_messages import RANGES
from tests.fakes import lies
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain

BLOCKS = 160
AUDITED = 40


def audited(indexer: Indexer, blocks: int = AUDITED) -> RangeAudit:
    """One audit."""
    with Session(indexer.engine) as session:
        work = Work(
            session=session,
            contracts=indexer.contracts,
            commit=session.commit,
            alarm=partial(record_alarm, indexer.engine),
            options=indexer.options,
            projections=indexer.projections,
        )
        found = audit(work, indexer.providers, blocks=blocks)
    assert found is not None
    return found


def busy(chain: Chain, blocks: int) -> None:
    """Blocks with up to four events, some of them empty."""
    for block in range(blocks):
        if block % 5 == 4:
            chain.mine()
        else:
            chain.move(block % 4, block + 1, times=1 + block % 4)


def rows_from(rows: list[tuple[object, ...]], first: int) -> list[tuple[object, ...]]:
    return [row for row in rows if int(str(row[0])) >= first]


def test_whole_blocks_and_losses_near_the_head_at_once_and_old_partial_ones_within_an_audit_cycle(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy
) -> None:
    busy(chain, BLOCKS)
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=50))
    range_words = [(code, message) for code, message, suggested, cap in RANGES if suggested is None and cap is None]
    proxied.before = lies.refusing(20, range_words, gives_up_at=40)
    partial_old = [number for number in range(BLOCKS) if number % 11 == 5]
    proxied.after = lies.answering(
        lies.empty_at_times(3),
        lies.without_blocks(range(0, BLOCKS + 2, 7)),
        lies.cut_at(30),
        lies.without_first_of(partial_old),
    )
    report = indexer.run()
    while report.behind:
        report = indexer.run()
    true, found = chain.logs(), indexer.events()
    ((final,),) = indexer.rows("SELECT final_block FROM chain_cursors")
    assert rows_from(found, final + 1) == rows_from(true, final + 1)  # near the head nothing is missing
    assert {row[0] for row in found} == {row[0] for row in true}  # nor is any whole block
    assert set(found) < set(true)  # old blocks' first logs are, whoever is asked by range or by hash
    assert indexer.rows("SELECT kind FROM chain_alarms WHERE kind = 'logs_incomplete'") != []

    audits = [audited(indexer) for _ in range(final // AUDITED + 1)]
    assert (audits[0].first_block, audits[-1].last_block) == (0, final)
    assert sum(one.rows_missing for one in audits) == sum(one.rows_repaired for one in audits) == len(true) - len(found)
    assert_clean(indexer, clean, chain)
    assert audited(indexer).rows_missing == 0  # the next cycle
    assert [row[0] for row in indexer.rows("SELECT sum(rows_repaired) FROM chain_audits")] == [len(true) - len(found)]


def test_an_honest_node_costs_few_calls_more(chain: Chain, indexer: Indexer) -> None:
    busy(chain, 30)
    chain.mine(1000)
    report = indexer.run()
    assert not report.behind
    # Of 1,000 final blocks at most 100 calls, and one saving of as many; here there was nothing to suspect.
    assert report.checks <= 100 * 3
    assert (report.repaired, report.unchecked) == (0, 0)
    assert indexer.rows("SELECT kind FROM chain_alarms") == []
