"""The supervisor over real servers: the start, the watch, every way to the end, and the recovery of a killed run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from threading import Event

import psutil
import psycopg2
import pytest
from redis import Redis

from app.ops.adapters.process_table import lives
from app.ops.adapters.run_folder import RunFolder
from app.ops.adapters.signals import SECOND_PRESS_SECONDS
from app.ops.services.database import wait_for_database
from tests.ops.conftest import RUNS, StackProcess, alive_in

Start = Callable[..., StackProcess]


def test_the_end_is_in_reverse_order_and_leaves_no_process(stack: Start, run: RunFolder) -> None:
    process = stack("worker")
    process.wait_for(RUNS)
    assert len(alive_in(run)) > 10

    process.send(signal.SIGTERM)

    assert process.end() == 0
    assert alive_in(run) == []
    assert process.text.index("stopping worker") < process.text.index("stopping postgres")
    assert run.find_stack() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_stop_signal_leaves_no_process(stack: Start, run: RunFolder, number: signal.Signals) -> None:
    process = stack("cache", "worker")
    process.wait_for(RUNS)
    assert len(alive_in(run)) > 4, "the supervisor, the cache, the worker and its children"

    process.send(number)

    assert process.end() == 0
    assert alive_in(run) == []


def test_the_servers_answer_at_the_addresses_it_made(stack: Start, run: RunFolder) -> None:
    process = stack()
    process.wait_for(RUNS)
    made = run.running_stack()
    assert made is not None

    assert _sql(made.environment["DATABASE_URL"], "SELECT version_num FROM alembic_version"), "the migration ran there"
    for name in ("BROKER_URL", "CACHE_URL"):
        with Redis.from_url(made.environment[name]) as client:
            assert client.ping()
    assert {role.role for role in made.roles} == {"postgres", "broker", "cache", "anvil"}
    assert all(lives(role.pid, role.started_at) for role in made.roles)


def test_no_password_is_on_a_command_line_or_in_a_url_that_is_shown(stack: Start, run: RunFolder) -> None:
    process = stack()
    process.wait_for(RUNS)
    secrets = run.secrets().values()
    shown = [process.text, *(" ".join(one.cmdline()) for one in alive_in(run))]
    assert not [text for text in shown for secret in secrets if secret in text]
    assert (run.path / "secrets.json").stat().st_mode & 0o077 == 0
    assert (run.path / "stack.json").stat().st_mode & 0o077 == 0


def test_data_and_secrets_outlive_a_restart(stack: Start, run: RunFolder) -> None:
    first = stack("broker")
    first.wait_for(RUNS)
    with Redis.from_url(run.find_stack().environment["BROKER_URL"]) as client:
        client.set("kept", "yes")
    first.send(signal.SIGTERM)
    assert first.end() == 0

    second = stack("broker")
    second.wait_for(RUNS)
    with Redis.from_url(run.find_stack().environment["BROKER_URL"]) as client:
        assert client.get("kept") == b"yes"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_stops_what_was_started(stack: Start, run: RunFolder, number: signal.Signals) -> None:
    process = stack("cache", "slow")
    process.wait_for("cache: ready")  # the role `slow` is being waited for from here on

    process.send(number)

    assert process.end() == 0
    assert RUNS not in process.text
    assert alive_in(run) == []


def test_a_role_that_does_not_start_is_one_sentence_and_everything_stops(stack: Start, run: RunFolder) -> None:
    process = stack("cache", "broken")
    assert process.end() == 1
    assert "FAILED broken ended while starting (exit 1): nothing works" in process.text
    assert "mend it" in process.text
    assert "Traceback" not in process.text
    assert alive_in(run) == []


def test_a_role_that_ends_by_itself_comes_back_ever_more_slowly(stack: Start) -> None:
    process = stack("cache", "mortal")
    process.wait_for(RUNS)
    before = process.pid_of("mortal")
    for delay in ("0.5 s", "1 s"):
        said = process.wait_for("mortal ended by itself (exit 1): tired of life")
        assert f"started again in {delay}" in said
    assert process.pid_of("mortal") != before


def test_a_killed_server_is_reported_and_keeps_its_rows(stack: Start) -> None:
    process = stack("postgres")
    process.wait_for(RUNS)
    environment = process.run.find_stack().environment
    _sql(environment["DATABASE_URL"], "CREATE TABLE kept AS SELECT 7 AS value")

    os.kill(process.pid_of("postgres"), signal.SIGKILL)

    assert "exit -9" in process.wait_for("postgres ended by itself")
    process.wait_for("postgres was started again")
    wait_for_database(environment["DATABASE_URL"], seconds=20)
    assert _sql(environment["DATABASE_URL"], "SELECT value FROM kept") == 7


def _sql(url: str, statement: str) -> int | None:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def test_what_a_killed_role_leaves_ends_before_it_starts_again(stack: Start, run: RunFolder) -> None:
    process = stack("cache", "worker")
    process.wait_for(RUNS)
    killed = process.pid_of("worker")
    assert psutil.Process(killed).children()

    os.kill(killed, signal.SIGKILL)
    process.wait_for("worker was started again")

    assert [child for child in alive_in(run) if os.getsid(child.pid) == killed] == []
    process.send(signal.SIGTERM)
    assert process.end() == 0
    assert alive_in(run) == []


def test_a_role_that_will_not_stop_is_killed_when_its_time_is_up(stack: Start, run: RunFolder) -> None:
    process = stack("cache", "stubborn")
    process.wait_for(RUNS)
    process.send(signal.SIGTERM)
    assert process.end() == 0
    assert "stubborn did not stop within 1." in process.text
    assert alive_in(run) == []


def test_a_second_interrupt_kills_at_once(stack: Start, run: RunFolder) -> None:
    process = stack("cache", "deaf")
    process.wait_for(RUNS)
    process.send(signal.SIGINT)
    process.wait_for("stopping deaf")
    Event().wait(SECOND_PRESS_SECONDS + 0.1)  # a person's second press, not the first one's echo
    process.send(signal.SIGINT)
    assert process.end() == 0
    assert "deaf did not stop within" in process.text
    assert alive_in(run) == []


def test_an_interrupt_at_once_after_another_signal_is_no_second_press(stack: Start) -> None:
    process = stack("cache", "stubborn")
    process.wait_for(RUNS)
    process.send(signal.SIGHUP)  # a closing terminal sends several to the whole group
    process.send(signal.SIGINT)
    assert process.end() == 0
    assert "stubborn did not stop within 1." in process.text, "it had its whole second"


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_refused_in_one_sentence(stack: Start, run: RunFolder) -> None:
    first = stack("cache")
    first.wait_for(RUNS)
    second = stack("cache")
    assert second.end() == 1
    assert second.text.startswith(f"FAILED Watchkeeper already runs here (pid {first.popen.pid}")
    assert second.text.count("\n") == 1
    first.send(signal.SIGTERM)
    assert first.end() == 0


def test_the_run_after_a_kill_9_says_so_cleans_up_and_starts(stack: Start, run: RunFolder) -> None:
    first = stack("worker")
    first.wait_for(RUNS)
    first.send(signal.SIGKILL)
    first.end()
    left = alive_in(run)
    assert len(left) > 5, "the roles outlive their supervisor"

    second = stack()
    second.wait_for(f"An earlier run (pid {first.popen.pid}) was killed and left")
    second.wait_for(RUNS)

    assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert second.text.count("An earlier run") == 1
    second.send(signal.SIGTERM)
    assert second.end() == 0
    assert alive_in(run) == []


def test_a_stranger_with_a_re_used_process_id_is_left_alone(
    stack: Start, run: RunFolder, stranger: subprocess.Popen[bytes]
) -> None:
    first = stack("postgres")
    first.wait_for(RUNS)
    first.send(signal.SIGTERM)
    recorded = run.find_stack()
    assert first.end() == 0
    earlier = recorded.supervisor_started_at - 60
    reused = replace(recorded.roles[0], pid=stranger.pid, started_at=earlier)
    run.write_stack(replace(recorded, supervisor_pid=stranger.pid, supervisor_started_at=earlier, roles=(reused,)))
    postmaster = run.path / "postgres" / "data" / "postmaster.pid"
    postmaster.write_text(f"{stranger.pid}\n{postmaster.parent}\n{int(earlier)}\n")

    second = stack("postgres")
    second.wait_for(RUNS)

    assert "An earlier run" not in second.text
    assert stranger.poll() is None


def test_a_stack_file_that_cannot_be_read_does_not_matter(stack: Start, run: RunFolder) -> None:
    (run.path / "stack.json").write_text('{"supervisor_pid": 1, "roles": [')
    process = stack("cache")
    process.wait_for(RUNS)
