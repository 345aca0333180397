"""What the demo's stack has of its own: an errand that ends it, a run folder inside the other, its own settings."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.ops.adapters import process_table
from app.ops.adapters.run_folder import RunFolder
from app.ops.errors import AlreadyRunning
from app.ops.services.environment import isolate
from app.ops.services.reset import reset
from app.ops.services.supervisor import Supervisor
from app.ops.types import Role, Stage
from config.settings import load_settings
from tests.ops.conftest import ROOT, RUNS, StackProcess, alive_in

SLEEPS = "import time; time.sleep(600)"


def small_role(run: RunFolder, name: str, body: str, **options: Any) -> Role:
    return Role(**{"name": name, "command": (sys.executable, "-c", body), "log": run.log(name)} | options)


def supervised(run: RunFolder, errand: str, said: list[str]) -> int | None:
    """Run a role that would run for ever and an errand beside it."""
    roles = [
        small_role(run, "server", SLEEPS, stage=Stage.WORK),
        small_role(run, "errand", errand, stage=Stage.PLAY, errand=True, log=None),
    ]
    with run.lock():
        return Supervisor(roles, run, environment={}, root=ROOT, say=said.append).run(lambda: said.append("ready"))


def test_the_run_ends_with_its_errand_and_says_how_that_ended(run: RunFolder) -> None:
    said: list[str] = []
    assert supervised(run, "raise SystemExit(3)", said) == 3
    assert said[-2:] == ["ready", "stopping server"]
    assert alive_in(run) == []


def test_an_errand_that_a_signal_ended_is_no_success(run: RunFolder) -> None:
    assert supervised(run, "import os; os.kill(os.getpid(), 9)", []) == -signal.SIGKILL


def test_a_person_reads_along_what_an_errand_says(run: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert supervised(run, "print('seven positions opened')", []) == 0
    assert "seven positions opened" in capfd.readouterr().out


def test_an_interrupt_stops_the_errand_first_and_gives_no_code(run: RunFolder) -> None:
    said: list[str] = []
    interrupt = f"import os, time; os.kill({os.getpid()}, 2); time.sleep(600)"
    assert supervised(run, interrupt, said) is None
    assert said[-2:] == ["stopping errand", "stopping server"]
    assert alive_in(run) == []


def test_neither_stack_takes_the_other_s_servers_for_its_own(
    stack: Callable[..., StackProcess], run: RunFolder
) -> None:
    inner = run.demo()
    demo = stack("postgres", "cache", run=inner)
    demo.wait_for(RUNS)
    outer = stack("cache", "broker")
    outer.wait_for(RUNS)
    assert "An earlier run" not in outer.text

    inside = {process.pid for process in process_table.started_for(inner.path)}
    outside = {process.pid for process in process_table.started_for(run.path)}
    assert len(inside) > 2
    assert demo.pid_of("postgres") in inside
    assert outer.pid_of("broker") in outside
    assert inside & outside == set()


def test_reset_refuses_while_the_demo_runs_and_removes_its_data_afterwards(run: RunFolder) -> None:
    inner = run.demo()
    with inner.lock(), pytest.raises(AlreadyRunning):
        reset(run, print)
    (inner.path / "postgres").mkdir()
    reset(run, print)
    assert sorted(path.name for path in run.path.iterdir()) == ["lock", "node"]


def test_the_demo_shares_the_installed_node(run: RunFolder) -> None:
    assert run.demo().node == run.path / "node"


def test_an_isolated_process_sees_no_settings_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("CHAIN__MAX_RANGE_BLOCKS=7\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@production/ledger")
    monkeypatch.setenv("http__port", "9999")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    isolate({"PERPS__INDEX_SECONDS": "1"})
    settings = load_settings(os.environ["ENV_FILE"])
    assert settings.model_fields_set == {"perps"}
    assert settings.perps.index_seconds == 1
    assert os.environ["PATH"], "what is no setting stays"
