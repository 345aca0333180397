"""The whole system, on a chain, while its workers are killed in the middle of liquidating and Redis is emptied.

The demo's own judge says at the end whether chain and database agree in every digit; this adds the strikes, and looks
at the transactions: every intent has at most one that was mined, and none of them was in vain.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from app.ops.adapters.run_folder import RunFolder
from tests.security.search import Search

pytestmark = pytest.mark.flow
ROOT = Path(__file__).resolve().parent.parent.parent
RUN_DEMO = """
import sys
from pathlib import Path
from app.ops.adapters.run_folder import RunFolder
from app.ops.services.demo import demo
root, folder = Path(sys.argv[1]), Path(sys.argv[2])
sys.exit(demo(root, RunFolder(folder), 7, folder / "demo.json", lambda line: print(line, flush=True)))
"""
INTENTS = text("SELECT count(*) FROM chain_intents WHERE action = 'liquidate'")
MINED = text(
    "SELECT i.subject, i.status, count(a.*) FILTER (WHERE a.outcome = 'mined') AS mined"
    " FROM chain_intents i LEFT JOIN chain_attempts a ON a.intent_id = i.id"
    " WHERE i.action = 'liquidate' GROUP BY i.id, i.subject, i.status"
)


class Demo:
    """A demo on a run folder of its own, as a child."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = folder.with_suffix(".log")
        with self.log.open("wb") as output:
            command = [sys.executable, "-c", RUN_DEMO, str(ROOT), str(folder)]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)

    def wait_for(self, what: str, there: Callable[[], bool], seconds: float = 150.0) -> None:
        """Poll until true; a demo that ended first has failed."""
        deadline = time.monotonic() + seconds
        while not there():
            assert self.process.poll() is None, f"it ended before {what}:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"{what} did not come:\n{self.log.read_text()[-2000:]}"
            time.sleep(0.02)

    def said(self, words: str) -> bool:
        """Whether the demo has said so."""
        return words in self.log.read_text(errors="replace")

    def environment(self) -> dict[str, str]:
        """The variables of its stack."""
        stack = RunFolder(self.folder).demo().running_stack()
        assert stack is not None
        return dict(stack.environment)

    def kill_workers(self) -> int:
        """SIGKILL to every Celery worker and its children; returns how many processes died."""
        stack = RunFolder(self.folder).demo().running_stack()
        assert stack is not None
        workers = [psutil.Process(role.pid) for role in stack.roles if role.role.startswith("worker")]
        doomed = [process for worker in workers for process in (*worker.children(recursive=True), worker)]
        for process in doomed:
            os.kill(process.pid, signal.SIGKILL)
        return len(doomed)


@pytest.fixture
def demo(tmp_path: Path, anvil_binary: Path, whole_stack_alone: None) -> Iterator[Demo]:
    """The demo, whose node is installed already."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "node").symlink_to(anvil_binary.parents[4])
    started = Demo(folder)
    yield started
    started.process.terminate()
    started.process.wait(60)


def test_no_liquidation_is_lost_or_mined_twice(demo: Demo) -> None:
    demo.wait_for("the crash of prices", lambda: demo.said("prices move"))
    environment = demo.environment()
    engine = create_engine(environment["DATABASE_URL"], poolclass=NullPool)
    demo.wait_for("a liquidation under way", lambda: rows(engine, INTENTS)[0][0] > 0)
    assert demo.kill_workers() >= 6
    Redis.from_url(environment["BROKER_URL"]).flushall()
    found: list[Any] = []

    def settled() -> bool:
        found[:] = rows(engine, MINED) or found
        return demo.process.poll() is not None

    deadline = time.monotonic() + 200
    while not settled():
        assert time.monotonic() < deadline, demo.log.read_text()[-2000:]
        time.sleep(0.1)
    assert demo.process.returncode == 0, demo.log.read_text()[-2000:]
    report = json.loads((demo.folder / "demo.json").read_text())
    assert report["agreement"]["differences"] == []
    assert report["failed_jobs"] == []
    liquidated = [position for position in report["positions"] if position["status"] == "liquidated"]
    assert len(liquidated) >= 5
    assert len(liquidated) == len({row.subject for row in found if row.mined})
    assert {row.mined for row in found} <= {0, 1}
    assert [row.subject for row in found if row.status == "reverted"] == []
    run = RunFolder(demo.folder).demo()
    assert Search(run.secrets()).logs(demo.folder) == [], "a process that dies says much"


def rows(engine: Any, statement: Any) -> list[Any]:
    """What the demo's database says now; nothing once it has stopped."""
    try:
        with engine.connect() as connection:
            return list(connection.execute(statement))
    except OperationalError:
        return []
