"""`manage.py index` without its verb: alone with a database and a node."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.services.cli_index import run_index
from app.chain.types.indexing import IndexOptions, IndexReport, RangeLimits
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from tests.chain.conftest import CHAIN_ID, Indexer
from tests.chain.emitter import Chain
from tests.fakes.node_proxy import Answer, NodeProxy

pytestmark = pytest.mark.chain


def run(indexer: Indexer, **options: Any) -> tuple[IndexReport, str]:
    """The command, and what it wrote."""
    output = io.StringIO()
    given = {
        "output": output,
        "progress": io.StringIO(),
        "stop": Event(),
        "options": indexer.options,
        "projections": indexer.projections,
    }
    report = run_index(indexer.engine, indexer.providers, indexer.contracts, **(given | options))
    return report, output.getvalue()


def test_it_reads_to_the_head_and_says_what_it_took(chain: Chain, indexer: Indexer) -> None:
    for amount in range(9):
        chain.move(1, amount)
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=4), max_steps=1)
    report, written = run(indexer)
    assert (report.rows, report.steps) == (9, 3)
    assert written.splitlines()[1] == "9 new rows from 9 events in 11 blocks"
    assert indexer.events() == chain.logs()
    assert indexer.rows("SELECT total FROM test_sums") == [(36,)]


def test_json_is_one_object(chain: Chain, indexer: Indexer) -> None:
    chain.move(1, 1, times=3)
    _, written = run(indexer, as_json=True)
    said = json.loads(written)
    assert (said["rows"], said["contract_set"], said["chain_id"]) == (3, "emitter", 31339)
    assert said["requests"] > 0
    assert said["seconds"] > 0


def test_a_range_has_its_own_cursor_and_feeds_no_projection(chain: Chain, indexer: Indexer) -> None:
    for amount in range(9):
        chain.move(1, amount)
    report, _ = run(indexer, from_block=3, to_block=5)
    assert (report.rows, report.next_block) == (3, 6)
    assert run(indexer, from_block=3, to_block=5)[0].blocks == 0
    assert indexer.events() == [log for log in chain.logs() if 3 <= log[0] <= 5]
    assert indexer.rows("SELECT * FROM test_sums") == []
    report, _ = run(indexer)
    assert (report.rows, report.events) == (6, 9)
    assert indexer.events() == chain.logs()
    assert indexer.rows("SELECT total FROM test_sums") == [(36,)]


def test_following_stays_at_the_head_and_waits_for_a_node_that_is_gone(chain: Chain, indexer: Indexer) -> None:
    proxy = NodeProxy(chain.url)
    indexer.providers = Providers([Provider(proxy.url, chain_id=CHAIN_ID, attempts=1)])
    stop = Event()
    ended: list[IndexReport] = []
    follower = Thread(target=lambda: ended.append(run(indexer, follow=True, stop=stop)[0]))
    follower.start()
    try:
        chain.move(1, 5)
        wait_for(indexer, 1)
        chain.reorg(1, (chain.moved(2, 6, times=2), 0))
        wait_for(indexer, 2)
        refused = Event()
        proxy.before = lambda calls: refused.set() or Answer(503)
        chain.move(3, 7)
        assert refused.wait(10)
        proxy.before = lambda calls: None
        wait_for(indexer, 3)
    finally:
        stop.set()
        follower.join()
        indexer.providers.close()
        proxy.close()
    assert ended[0].rewinds == 1
    assert indexer.events() == chain.logs()


def wait_for(indexer: Indexer, rows: int) -> None:
    """Until that many rows are there; the test's own time limit is fifteen seconds."""
    with indexer.engine.connect() as connection:
        for _ in range(1500):
            if connection.scalar(text("SELECT count(*) FROM chain_events")) == rows:
                return
            connection.rollback()
            connection.execute(text("SELECT pg_sleep(0.01)"))
    pytest.fail(f"never {rows} rows")


def test_a_node_that_is_gone_is_an_error_when_not_following(indexer: Indexer, anvil: EmbeddedAnvil) -> None:
    anvil.stop()
    with pytest.raises(errors.NodeUnreachable):
        run(indexer)


def test_a_second_run_of_another_set_on_the_same_database(chain: Chain, indexer: Indexer) -> None:
    chain.move(1, 1)
    run(indexer)
    other = replace(indexer, contracts=replace(indexer.contracts, name="again"), projections={})
    report, _ = run(other)
    assert (report.rows, report.events) == (0, 1)


def test_it_loads_little() -> None:
    """Else it would not begin within half a second."""
    heavy = {"flask", "celery", "web3", "marshmallow", "alembic", "eth_abi", "structlog", "rich"}
    code = (
        "import sys, tasks.indexing, app.chain.services.cli_index;"
        f"sys.exit(' '.join(sorted(set(sys.modules) & {heavy})) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
