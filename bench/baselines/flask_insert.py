"""The floor: a Flask route that validates the body, INSERTs one row by SQLAlchemy, commits, and answers 202 with it.

No authentication, no limits, no request log, no Idempotency-Key. The body's schema and the table, with its indexes and
triggers, are Watchkeeper's own. It is made as its friends would: schemas and statement built once, SQLAlchemy Core
without the ORM, a pool as large as the threads, no ping before a statement, one round trip for row and answer.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError
from sqlalchemy import Engine, create_engine, insert

from app.core.db import new_id
from app.jobs.jobs import ProbeParams
from app.jobs.models import Job
from app.jobs.schemas import NewJobSchema

BODY = NewJobSchema()
PARAMS = ProbeParams()
ANSWERED = (
    "id", "kind", "status", "queue", "priority", "params", "progress", "result", "error", "attempt", "max_attempts",
    "crashes", "fence", "run_at", "expires_at", "cancel_requested_at", "created_at", "started_at", "finished_at",
    "schedule", "slot_at", "callback_url", "retried_from", "request_id",
)  # fmt: skip
JOBS = Job.metadata.tables["jobs"]
INSERT = insert(JOBS).returning(*(JOBS.c[name] for name in ANSWERED))


def insert_job(engine: Engine, body: Any) -> dict[str, Any]:
    """Validate, INSERT, commit; the row as JSON. Raises ValidationError."""
    asked = BODY.load(body)
    PARAMS.load(asked["params"])
    values = {
        "id": new_id(),
        "kind": asked["kind"],
        "principal": "user:baseline",
        "queue": "default",
        "priority": asked["priority"],
        "status": "queued",
        "params": asked["params"],
        "expires_at": asked["expires_at"],
        "max_attempts": asked["max_attempts"] or 5,
        "callback_url": asked["callback_url"],
    }
    if asked["run_at"] is not None:
        values["run_at"] = asked["run_at"]
    with engine.begin() as connection:
        row = connection.execute(INSERT, values).one()
    return {name: as_json(value) for name, value in row._mapping.items()}


def as_json(value: Any) -> Any:
    """A column's value as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def make_app(name: str) -> tuple[Flask, Engine]:
    """An app whose bad bodies are 422, and its engine."""
    app = Flask(name, static_folder=None)
    app.register_error_handler(ValidationError, lambda error: ({"errors": error.messages}, 422))
    size = int(os.environ["HTTP__THREADS"])
    return app, create_engine(os.environ["DATABASE_URL"], pool_size=size, max_overflow=0)


def create_app() -> Flask:
    """What granian starts."""
    app, engine = make_app("flask_insert")

    @app.post("/v1/jobs")
    def submit() -> ResponseReturnValue:
        return jsonify(insert_job(engine, request.get_json())), 202

    return app
