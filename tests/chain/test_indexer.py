"""The indexer on a real node and a real database, without reorgs: what it writes, what it costs, where it stops."""

from __future__ import annotations

import pytest

from tests.chain.conftest import Indexer
from tests.chain.emitter import Chain

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
    assert indexer.rows("SELECT account, total, moves FROM test_sums ORDER BY account")[0] == (0, 4 * 9, 9)
