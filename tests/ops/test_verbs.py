"""`manage.py` in a copy of the checkout, beside a stack that runs there, and without one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread, Timer

import pytest

from app.ops.adapters.process import free_port
from app.ops.adapters.run_folder import RunFolder
from tests.ops.conftest import ROOT, RUNS, StackProcess

Start = Callable[..., StackProcess]
SERVERS = ("postgres", "broker", "cache")


def manage(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A verb's run in the copy."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=checkout,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def running(stack: Start, checkout: Path) -> StackProcess:
    """The servers, migrated, running in the copy."""
    process = stack(*SERVERS, "migrate", run=RunFolder(checkout / ".run"), cwd=checkout)
    process.wait_for(RUNS)
    return process


def test_the_verbs_find_the_running_stack(checkout: Path, running: StackProcess) -> None:
    shown = manage(checkout, "status", "--json")
    assert shown.returncode == 0, shown.stderr
    rows = {row["role"]: row for row in json.loads(shown.stdout)}
    assert list(rows) == ["supervisor", *SERVERS]
    assert all(row["alive"] for row in rows.values())
    assert rows["broker"]["url"] == f"redis://127.0.0.1:{rows['broker']['port']}/0"
    assert Path(rows["broker"]["log_file"]).exists()
    assert rows["supervisor"]["pid"] == running.popen.pid

    doctor = manage(checkout, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    for line in ("postgres     answers", "broker       answers", "cache        answers", "migrations   at "):
        assert line in doctor.stdout

    migrated = manage(checkout, "migrate")
    assert (migrated.returncode, migrated.stdout) == (0, "The database is at head.\n")

    refused = manage(checkout, "reset", "--yes")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Watchkeeper already runs here")
    assert refused.stderr.count("\n") == 1

    os.kill(running.popen.pid, signal.SIGSTOP)  # else it may have another running before anybody has looked
    os.kill(rows["cache"]["pid"], signal.SIGKILL)
    assert "DEAD" in manage(checkout, "status").stdout
    os.kill(running.popen.pid, signal.SIGCONT)
    running.wait_for("cache ended by itself")


def test_logs_shows_the_ends(checkout: Path) -> None:
    run = RunFolder(checkout / ".run")
    run.open()
    run.log("api").write_text("one\ntwo\n")
    run.log("worker-perps").write_text("three\nfour\n")

    assert manage(checkout, "logs", "--lines", "1").stdout == "api          | two\nworker-perps | four\n"
    assert manage(checkout, "logs", "api").stdout == "one\ntwo\n"
    wrong = manage(checkout, "logs", "nobody")
    assert wrong.returncode == 1
    assert wrong.stderr == "nobody has no log here; there is: api, worker-perps.\n"


def test_logs_follows_what_is_added_line_by_line(checkout: Path) -> None:
    run = RunFolder(checkout / ".run")
    run.open()
    run.log("api").write_text("first\n")
    follower = subprocess.Popen(
        [sys.executable, "manage.py", "logs", "-f"], cwd=checkout, stdout=subprocess.PIPE, text=True
    )
    timer = Timer(30, follower.kill)
    timer.start()
    assert follower.stdout.readline() == "api | first\n"
    with run.log("api").open("a") as log:
        log.write("half a line")
        log.flush()
        log.write(" and its end\n")
    assert follower.stdout.readline() == "api | half a line and its end\n"
    run.log("api").write_text("cut\n")
    assert follower.stdout.readline() == "api | cut\n"
    timer.cancel()
    follower.kill()
    follower.wait()
    follower.stdout.close()


def test_a_verb_beside_a_killed_run_tells_of_it(stack: Start, checkout: Path) -> None:
    process = stack("cache", run=RunFolder(checkout / ".run"), cwd=checkout)
    process.wait_for(RUNS)
    process.send(signal.SIGKILL)
    process.end()

    status = manage(checkout, "status")
    assert status.returncode == 1
    assert "The supervisor was killed" in status.stdout
    doctor = manage(checkout, "doctor", **_offline())
    assert doctor.returncode == 1
    assert "FAIL  run folder   a killed run left 1 processes: `make up` stops them first" in doctor.stdout

    assert "An earlier run" in manage(checkout, "reset", "--yes").stdout
    assert manage(checkout, "status", "--json").stdout == "[]\n"


def test_reset_asks_removes_the_data_and_keeps_the_installed_node(checkout: Path) -> None:
    run = RunFolder(checkout / ".run")
    run.open()
    run.secrets()
    (run.path / "node").symlink_to(ROOT / ".run" / "node")
    (run.path / "broker").mkdir()
    asked = manage(checkout, "reset")
    assert asked.returncode == 1
    assert (run.path / "broker").exists()
    assert manage(checkout, "reset", "--yes").returncode == 0
    assert sorted(path.name for path in run.path.iterdir()) == ["lock", "node"]
    assert (ROOT / ".run" / "node").exists()


def _offline() -> dict[str, str]:
    """No registry, and ports that are free whatever runs on this machine."""
    ports = {variable: str(free_port()) for variable in ("HTTP__PORT", "STREAM__PORT", "FLOWER__PORT")}
    return {"NPM_CONFIG_REGISTRY": "http://127.0.0.1:9", **ports}


def test_doctor_says_the_way_out_of_what_is_wrong(checkout: Path) -> None:
    offline = _offline()
    nothing = manage(checkout, "doctor", **offline)
    assert nothing.returncode == 1
    assert "FAIL  anvil        anvil comes from the npm registry: check the network" in nothing.stdout

    bad = manage(checkout, "doctor", CHAIN__CHAIN_ID="secret", **offline)
    assert bad.returncode == 1
    assert "FAIL  settings     The settings are not valid: CHAIN__CHAIN_ID" in bad.stdout
    assert "secret" not in bad.stdout

    given = {"DATABASE_URL": "postgresql://wk:secret@127.0.0.1:9/wk", "CHAIN__RPC_URLS": "[]"}
    gone = manage(checkout, "doctor", **given, **offline)
    assert gone.returncode == 1
    assert "FAIL  postgres     The database postgresql+psycopg2://wk:***@127.0.0.1:9/wk does not answer" in gone.stdout
    assert "secret" not in gone.stdout


def test_migrate_gives_up_on_a_missing_database_in_one_sentence(checkout: Path) -> None:
    gone = manage(checkout, "migrate", "--wait", "0", DATABASE_URL="postgresql://wk:secret@127.0.0.1:9/wk")
    assert gone.returncode == 1
    assert gone.stderr.startswith("The database postgresql+psycopg2://wk:***@127.0.0.1:9/wk does not answer")
    assert gone.stderr.count("\n") == 1


def test_migrate_waits_for_a_database_no_longer_than_it_was_told_to(checkout: Path) -> None:
    tries = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with suppress(OSError):  # the listener is closed
                while True:
                    listener.accept()[0].close()
                    tries.append(1)

        Thread(target=hang_up, daemon=True).start()
        url = f"postgresql://wk@127.0.0.1:{listener.getsockname()[1]}/wk?sslmode=disable&gssencmode=disable"
        assert manage(checkout, "migrate", "--wait", "0", DATABASE_URL=url).returncode == 1
    assert len(tries) == 1, "what it would try when nobody says how long"


def test_a_missing_registry_is_one_sentence_with_a_way_out(stack: Start, checkout: Path) -> None:
    run = RunFolder(checkout / ".run")
    process = stack("anvil-install", "anvil", run=run, cwd=checkout, environment=_offline())
    assert process.end() == 1
    assert "FAILED anvil-install ended while starting (exit 1)" in process.text
    assert "check the network" in process.text
    assert "Traceback" not in process.text


def test_help_waits_for_nothing_slow(checkout: Path) -> None:
    listed = manage(checkout, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert "migrate" in listed.stdout
    loaded = {line.rsplit("|", 1)[-1].strip() for line in listed.stderr.splitlines()}
    assert not loaded & {"sqlalchemy", "celery", "flask", "web3", "pydantic", "requests", "alembic", "psutil"}
