"""The health checks of the start, when what they ask goes away between two questions."""

from __future__ import annotations

import secrets
from pathlib import Path

from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.probes import worker_answers
from app.ops.adapters.process import free_port


def test_a_broker_that_was_restarted_is_no_worker_and_no_error(tmp_path: Path) -> None:
    broker = EmbeddedValkey("broker", tmp_path / "broker", free_port(), secrets.token_hex(8), tmp_path / "log")
    for _ in range(3):
        broker.start()
        answers = [worker_answers(broker.url, "nobody") for _ in range(2)]
        broker.process.kill()
        assert [*answers, worker_answers(broker.url, "nobody")] == [False, False, False]
