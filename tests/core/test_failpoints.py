"""Failpoints: off unless named, once in all, at every statement boundary, and never in production."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.core.failpoints import ACTIONS, POINTS
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from config.groups import FailpointSettings
from config.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
PASSES = """
import sys
from app.core.db import make_engine
from app.core.failpoints import arm, failpoint
from config.groups import FailpointSettings
arm(**FailpointSettings.model_validate_json(sys.argv[1]).model_dump())
for number in range(3):
    failpoint("worker.claim.before")
    print(number, flush=True)
if len(sys.argv) > 2:
    with make_engine(sys.argv[2]).connect() as connection:
        for number in range(3):
            connection.exec_driver_sql("SELECT 1")
            print("row", flush=True)
"""


def run(armed: FailpointSettings, *urls: str) -> subprocess.CompletedProcess[str]:
    """A process that passes the point three times, then sends three statements."""
    command = [sys.executable, "-c", PASSES, armed.model_dump_json(), *urls]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_nothing_is_armed_without_a_name() -> None:
    assert run(FailpointSettings()).stdout.split() == ["0", "1", "2"]


def test_it_dies_at_the_named_passing_and_once_for_all(tmp_path: Path) -> None:
    armed = FailpointSettings(name="worker.claim.before", hit=2, once_file=str(tmp_path / "struck"))
    first, second = run(armed), run(armed)
    assert (first.returncode, first.stdout.split()) == (-signal.SIGKILL, ["0"])
    assert (second.returncode, second.stdout.split()) == (0, ["0", "1", "2"])


@pytest.mark.parametrize(("name", "rows"), [("sql.before", 1), ("sql.after", 1)])
def test_every_statement_is_a_place_to_die(postgres: EmbeddedPostgres, name: str, rows: int) -> None:
    done = run(FailpointSettings(name=name, hit=2), postgres.url("template_wk"))
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.count("row") == rows


def test_an_unknown_name_refuses_to_start() -> None:
    done = run(FailpointSettings(name="worker.nowhere"))
    assert done.returncode == 1
    assert "no failpoint 'worker.nowhere'" in done.stderr


def test_production_refuses_an_armed_point() -> None:
    with pytest.raises(ValidationError, match="FAILPOINT__NAME is set"):
        Settings(_env_file=None, environment="production", failpoint=FailpointSettings(name="sql.after"))


def test_every_point_is_passed_somewhere() -> None:
    code = "".join(path.read_text() for folder in ("app", "tasks") for path in (ROOT / folder).rglob("*.py"))
    missing = [name for name in POINTS if not name.startswith("sql.") and f'failpoint("{name}")' not in code]
    assert missing == []
    assert set(ACTIONS) == {"kill", "kill_worker", "stop", "hang"}
