"""`/v1/schedules`: what runs by itself, and the operators' hand on it."""

from __future__ import annotations

from typing import Any

from flask import Response, g

from app.accounts.services.audit import record
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_origin, current_principal, require
from app.core.http.unit_of_work import after_commit, current_session
from app.jobs import schemas
from app.jobs.models import Schedule
from app.jobs.routes.edge import edge, reply, show
from app.jobs.services import reading, schedules
from app.jobs.types import Cadence

SLOTS_SHOWN = 30

blueprint = Blueprint("schedules", __name__, url_prefix="/v1/schedules", description="What runs by itself")


@blueprint.route("", methods=["GET"])
@require("jobs:read")
@blueprint.response(200, schemas.SchedulesSchema)
def list_all() -> Response:
    """Every schedule with its newest slots."""
    return reply({"data": [show_schedule(schedule) for schedule in schedules.list_schedules(current_session())]})


@blueprint.route("/<name>", methods=["GET"])
@require("jobs:read")
@blueprint.response(200, schemas.ScheduleSchema)
def get(name: str) -> Response:
    """One schedule."""
    return reply(show_schedule(schedules.get_schedule(current_session(), name)))


@blueprint.route("/<name>", methods=["PATCH"])
@require("ops:write")
@blueprint.arguments(schemas.ScheduleChangeSchema)
@blueprint.response(200, schemas.ScheduleSchema)
def change(body: dict[str, Any], name: str) -> Response:
    """Pause it, let it go on, or override its cadence; slots of a new cadence count from now."""
    session = current_session()
    schedule = schedules.lock_schedule(session, name)
    if "cadence" in body:
        cadence = Cadence(**body["cadence"]) if body["cadence"] else None
        schedule = schedules.set_cadence(session, name, cadence)
    if "paused" in body:
        schedule = schedules.pause(session, name, body["paused"])
    record(session, current_origin(), "jobs.schedule_change", f"schedule:{name}", body)
    return reply(show_schedule(schedule))


@blueprint.route("/<name>/run", methods=["POST"])
@require("ops:write")
@blueprint.response(202, schemas.JobSchema)
def run_now(name: str) -> Response:
    """Run its job at once, outside its slots; 409 naming the job when it is running or queued."""
    session = current_session()
    principal = current_principal().id
    job_id = schedules.run_now(session, name, edge().menu, principal=principal, request_id=g.request_id)
    record(session, current_origin(), "jobs.schedule_run", f"schedule:{name}", {"job_id": str(job_id)})
    after_commit(edge().waker.wake)
    return reply(show(reading.get_job(session, job_id, principal=None)), 202, {"Location": f"/v1/jobs/{job_id}"})


def show_schedule(schedule: Schedule) -> dict[str, Any]:
    """A schedule's row, the cadence in force and its newest slots, as JSON."""
    row = schemas.ScheduleSchema(exclude=("cadence", "overridden", "slots")).dump(schedule)
    slots = schedules.newest_slots(current_session(), schedule.name, SLOTS_SHOWN)
    overridden = schedule.override_interval_seconds is not None or schedule.override_crontab is not None
    shown: dict[str, Any] = row | {
        "cadence": schemas.CadenceSchema().dump(schedules.cadence_of(schedule)),
        "overridden": overridden,
        "slots": schemas.SlotSchema(many=True).dump(slots),
    }
    return shown
