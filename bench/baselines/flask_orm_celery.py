"""What most projects write: a Flask-SQLAlchemy model, `session.add`, `commit`, `delay`, a marshmallow schema's `dump`.

Everything is as it comes: the extension's session and pool, Celery's broker pool. The table, with its indexes and
triggers, and the body's schema are Watchkeeper's own. Should the process die between the commit and the publish, the
row is there and nobody works on it. `bench/baselines/flask_celery.py` is the same route by somebody who measures.
"""

from __future__ import annotations

import os

from flask import Flask, request
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from marshmallow import ValidationError

from app.core.db import Base, new_id
from app.jobs.jobs import ProbeParams
from app.jobs.models import Job
from app.jobs.schemas import JobSchema, NewJobSchema
from bench.baselines.celery_noop import noop

BODY, PARAMS = NewJobSchema(), ProbeParams()
SHOWN = JobSchema(exclude=("done", "links"))  # not columns


def create_app() -> Flask:
    """What granian starts."""
    app = Flask("flask_orm_celery", static_folder=None)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.register_error_handler(ValidationError, lambda error: ({"errors": error.messages}, 422))
    database = SQLAlchemy(app, metadata=Base.metadata)

    @app.post("/v1/jobs")
    def submit() -> ResponseReturnValue:
        asked = BODY.load(request.get_json())
        PARAMS.load(asked["params"])
        job = Job(
            id=new_id(),
            kind=asked["kind"],
            principal="user:baseline",
            queue="default",
            priority=asked["priority"],
            status="queued",
            params=asked["params"],
            run_at=asked["run_at"],
            expires_at=asked["expires_at"],
            max_attempts=asked["max_attempts"] or 5,
            callback_url=asked["callback_url"],
        )
        database.session.add(job)
        database.session.commit()
        noop.delay(str(job.id))
        return SHOWN.dump(job), 202

    return app
