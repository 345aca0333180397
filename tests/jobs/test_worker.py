"""A worker's handling of a message: claim, duplicate, retry, snooze, cancel, lost lease, steps, effects, bulk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.errors import AppError, OutboundFailed
from app.jobs.services.run import JobRun
from app.jobs.types import JobKind, Snoozed
from tasks.base import process_message
from tasks.runtime import Runtime
from tests.jobs.conftest import ECHO, make_kind

Add = Callable[..., UUID]
Row = Callable[[UUID], Any]
Sql = Callable[..., Any]
MARK = text("INSERT INTO effects (effect_key, job_id, repeatable, phase) VALUES (:key, :id, true, 'done')")


def write_something(run: JobRun) -> None:
    """A domain write: any row that commits with the job, or not at all."""
    run.session.execute(MARK, {"key": f"write-{run.claim.id}-{run.claim.fence}", "id": run.claim.id})


def writes(sql: Sql) -> int:
    """How many domain writes were committed."""
    return int(sql("SELECT count(*) FROM effects").scalar_one())


def echo(run: JobRun) -> dict[str, Any]:
    """Write, and give the parameters back."""
    write_something(run)
    return dict(run.params)


def test_a_message_runs_its_job_once(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    job_id = add(params={"note": "hello"})
    for _ in range(3):  # the message is doubled twice
        process_message(context, ECHO, echo, [job_id])
    job = row(job_id)
    assert (job.status, job.result, job.attempt, job.fence) == ("succeeded", {"note": "hello", "number": 0}, 1, 1)
    assert job.claim_token is None
    assert writes(sql) == 1


def test_an_error_that_may_pass_is_tried_again_then_fails(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    def fail(run: JobRun) -> None:
        write_something(run)
        raise OutboundFailed("The feed is down.")

    job_id = add()
    for attempt in range(1, 4):
        process_message(context, ECHO, fail, [job_id])
        assert row(job_id).attempt == attempt
        process_message(context, ECHO, fail, [job_id])  # too early: backing off
        assert row(job_id).attempt == attempt
        sql("UPDATE jobs SET run_at = statement_timestamp() WHERE id = :id AND status = 'queued'", id=job_id)
    job = row(job_id)
    assert job.status == "failed"
    assert job.error == {"code": "core.outbound_failed", "detail": "The feed is down.", "retryable": True}
    assert writes(sql) == 0


@pytest.mark.parametrize(("state", "attempts"), [("53100", 0), ("57P03", 0), ("57014", 1), ("22012", 1)])
def test_a_database_that_cannot_work_costs_no_attempt_and_a_failing_statement_does(
    context: Runtime, add: Add, row: Row, sql: Sql, state: str, attempts: int
) -> None:
    def full(run: JobRun) -> None:
        write_something(run)
        run.session.execute(text(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{state}'; END $$"))

    job_id = add(max_attempts=3)
    process_message(context, ECHO, full, [job_id])
    assert (row(job_id).status, row(job_id).attempt) == ("queued", attempts)
    assert row(job_id).run_at > row(job_id).created_at
    assert writes(sql) == 0


def test_an_error_that_stays_fails_at_once(context: Runtime, add: Add, row: Row) -> None:
    def refuse(run: JobRun) -> None:
        raise AppError("Never.")

    job_id = add()
    process_message(context, ECHO, refuse, [job_id])
    assert (row(job_id).status, row(job_id).attempt) == ("failed", 1)


def test_a_defect_tells_the_client_no_secret(context: Runtime, add: Add, row: Row) -> None:
    def break_down(run: JobRun) -> None:
        raise ValueError("password=hunter2")

    job_id = add(max_attempts=1)
    process_message(context, ECHO, break_down, [job_id])
    assert row(job_id).status == "failed"
    assert "hunter2" not in str(row(job_id).error)


def test_a_result_that_is_not_json_fails_and_writes_nothing(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    def odd(run: JobRun) -> dict[str, Any]:
        write_something(run)
        return {"value": object()}

    job_id = add(max_attempts=1)
    process_message(context, ECHO, odd, [job_id])
    assert row(job_id).status == "failed"
    assert writes(sql) == 0


def test_a_snooze_costs_no_attempt(context: Runtime, add: Add, row: Row) -> None:
    job_id = add()
    process_message(context, ECHO, lambda run: Snoozed(60, "the chain is not there yet"), [job_id])
    job = row(job_id)
    assert (job.status, job.attempt, job.fence) == ("queued", 0, 1)
    assert job.run_at > job.created_at
    assert job.progress["message"] == "the chain is not there yet"


def test_a_lost_lease_writes_nothing(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    def be_overtaken(run: JobRun) -> dict[str, Any]:
        write_something(run)
        sql("UPDATE jobs SET claim_token = gen_random_uuid(), fence = fence + 1 WHERE id = :id", id=run.claim.id)
        return {}

    job_id = add()
    process_message(context, ECHO, be_overtaken, [job_id])
    assert (row(job_id).status, row(job_id).fence) == ("running", 2)
    assert writes(sql) == 0


def test_a_lost_lease_is_found_at_the_next_step(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    def step_twice(run: JobRun) -> dict[str, Any]:
        write_something(run)
        run.step({"at": 1})
        sql("UPDATE jobs SET claim_token = gen_random_uuid() WHERE id = :id", id=run.claim.id)
        run.session.execute(MARK, {"key": "second", "id": run.claim.id})
        run.step({"at": 2})
        raise AssertionError("a step without the lease went through")

    job_id = add()
    process_message(context, ECHO, step_twice, [job_id])
    assert row(job_id).cursor == {"at": 1}
    assert writes(sql) == 1


def test_a_step_survives_and_the_next_attempt_goes_on(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    seen: list[Any] = []

    def go_on(run: JobRun) -> dict[str, Any]:
        seen.append(run.cursor)
        if run.cursor is None:
            write_something(run)
            run.step({"at": 7})
            raise OutboundFailed()
        return {"from": run.cursor["at"]}

    job_id = add()
    process_message(context, ECHO, go_on, [job_id])
    sql("UPDATE jobs SET run_at = statement_timestamp() WHERE id = :id", id=job_id)
    process_message(context, ECHO, go_on, [job_id])
    assert seen == [None, {"at": 7}]
    assert row(job_id).result == {"from": 7}
    assert writes(sql) == 1


def test_a_running_job_is_cancelled_at_its_step(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    def be_cancelled(run: JobRun) -> dict[str, Any]:
        sql("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=run.claim.id)
        run.step()
        raise AssertionError("went on after the cancellation")

    job_id = add()
    process_message(context, ECHO, be_cancelled, [job_id])
    assert row(job_id).status == "cancelled"


def test_the_heartbeat_keeps_the_lease_and_brings_the_cancellation(
    context: Runtime, add: Add, row: Row, sql: Sql
) -> None:
    def work_long(run: JobRun) -> dict[str, Any]:
        first = row(run.claim.id).lease_until
        run.report(0.5, "half")
        sql("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=run.claim.id)
        assert run.cancelled.wait(10), "no heartbeat came"
        assert row(run.claim.id).lease_until > first
        assert row(run.claim.id).progress["pct"] == 50.0
        run.check()
        return {}

    job_id = add()
    process_message(context, ECHO, work_long, [job_id])
    assert row(job_id).status == "cancelled"


def test_the_heartbeat_notices_a_lost_lease(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    def work_long(run: JobRun) -> dict[str, Any]:
        sql("UPDATE jobs SET claim_token = gen_random_uuid() WHERE id = :id", id=run.claim.id)
        assert run.lost.wait(10), "no heartbeat came"
        run.check()
        return {}

    job_id = add()
    process_message(context, ECHO, work_long, [job_id])
    assert row(job_id).status == "running"


@pytest.mark.parametrize("change", ["run_at = now() + interval '1 h'", "expires_at = now()", "attempt = max_attempts"])
def test_what_may_not_start_is_not_claimed(context: Runtime, add: Add, row: Row, sql: Sql, change: str) -> None:
    job_id = add()
    sql(f"UPDATE jobs SET {change} WHERE id = :id", id=job_id)  # noqa: S608
    process_message(context, ECHO, echo, [job_id])
    assert (row(job_id).status, row(job_id).fence) == ("queued", 0)


def test_serial_jobs_run_in_the_order_of_their_slots(context: Runtime, add: Add, row: Row) -> None:
    kind = make_kind("test.hour", serial_key=lambda params: "market-1")
    first, second, third = (add(kind) for _ in range(3))
    assert [row(job).blocked for job in (first, second, third)] == [False, True, True]
    process_message(context, kind, echo, [third])
    process_message(context, kind, echo, [second])
    assert [row(job).fence for job in (second, third)] == [0, 0]
    process_message(context, kind, echo, [first])
    assert [row(job).blocked for job in (second, third)] == [False, True]
    process_message(context, kind, echo, [second])
    process_message(context, kind, echo, [third])
    assert {row(job).status for job in (first, second, third)} == {"succeeded"}


def test_a_serial_job_that_comes_late_goes_first(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    kind = make_kind("test.hour", serial_key=lambda params: "market-1")
    later = add(kind)
    sql("UPDATE jobs SET slot_at = now(), schedule = 'hourly', dispatched_at = now() WHERE id = :id", id=later)
    sql("UPDATE jobs SET slot_at = now() WHERE id = :id", id=later)
    earlier = add(kind)
    process_message(context, kind, echo, [later])
    assert (row(later).blocked, row(later).dispatched_at, row(later).attempt) == (True, None, 0)
    process_message(context, kind, echo, [earlier])
    assert row(later).blocked is False
    process_message(context, kind, echo, [later])
    assert row(later).status == "succeeded"


class Receiver:
    """An outside service that counts what it did."""

    def __init__(self, kind: JobKind, *, die_at: int = 0):
        self.calls = 0
        self.kind = kind
        self.die_at = die_at

    def work(self, repeatable: bool) -> Callable[[JobRun], dict[str, Any]]:
        """A task that has the outside effect, once for its subject."""

        def act() -> dict[str, Any]:
            self.calls += 1
            if self.calls == self.die_at:
                raise SystemExit  # the worker dies after the effect, before it is recorded
            return {"receipt": self.calls}

        return lambda run: dict(run.effect("payout:42", act, repeatable=repeatable))


def test_an_effect_happens_once_for_its_subject(context: Runtime, add: Add, row: Row) -> None:
    receiver = Receiver(ECHO)
    jobs = [add(), add()]
    for job_id in jobs:
        process_message(context, ECHO, receiver.work(repeatable=False), [job_id])
    assert receiver.calls == 1
    assert [row(job_id).result for job_id in jobs] == [{"receipt": 1}, {"receipt": 1}]


@pytest.mark.parametrize(("repeatable", "status", "calls"), [(True, "succeeded", 2), (False, "in_doubt", 1)])
def test_an_effect_whose_end_is_unknown(
    context: Runtime, add: Add, row: Row, sql: Sql, repeatable: bool, status: str, calls: int
) -> None:
    receiver = Receiver(ECHO, die_at=1)
    first, second = add(), add()
    with pytest.raises(SystemExit):
        process_message(context, ECHO, receiver.work(repeatable), [first])
    assert row(first).status == "running"
    process_message(context, ECHO, receiver.work(repeatable), [second])
    assert (row(second).status, receiver.calls) == (status, calls)


def test_a_bulk_message_runs_all_in_one_transaction(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    kind = make_kind("test.bulk", bulk=True)
    jobs = [add(kind, params={"number": n}) for n in range(20)]

    def double(runs: Sequence[JobRun]) -> list[dict[str, Any]]:
        for run in runs:
            write_something(run)
        return [{"twice": 2 * run.params["number"]} for run in runs]

    process_message(context, kind, double, jobs)
    assert [row(job_id).result for job_id in jobs] == [{"twice": 2 * n} for n in range(20)]
    assert len({row(job_id).finished_at for job_id in jobs}) == 1
    assert writes(sql) == 20


def test_one_bad_job_of_a_bulk_message_fails_alone(context: Runtime, add: Add, row: Row, sql: Sql) -> None:
    kind = make_kind("test.bulk", bulk=True)
    jobs = [add(kind, params={"number": n}) for n in range(4)]

    def reciprocal(runs: Sequence[JobRun]) -> list[dict[str, Any]]:
        for run in runs:
            write_something(run)
            if run.params["number"] == 2:
                raise AppError("Not this one.")
        return [{} for _ in runs]

    process_message(context, kind, reciprocal, jobs)
    assert [row(job_id).status for job_id in jobs] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert writes(sql) == 3
