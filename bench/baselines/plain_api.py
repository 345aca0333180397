"""The route most projects have before Celery: a row, a commit, then `.delay()` inside the request."""

from __future__ import annotations

import os

from flask import Flask, request
from flask.typing import ResponseReturnValue
from sqlalchemy import text

from bench.baselines.plain_celery import engine, work

INSERT = text("INSERT INTO plain_jobs (milliseconds, die) VALUES (:milliseconds, :die) RETURNING id")


def create_app() -> Flask:
    """The WSGI app: `POST /jobs` with `{"milliseconds": 0, "die": false}`, 202 with the row's id."""
    app = Flask("plain")

    @app.post("/jobs")
    def submit() -> ResponseReturnValue:
        body = request.get_json()
        values = {"milliseconds": int(body.get("milliseconds", 0)), "die": bool(body.get("die", False))}
        with engine(os.getpid()).begin() as connection:
            job_id = connection.execute(INSERT, values).scalar_one()
        work.delay(job_id, **values)
        return {"id": job_id}, 202

    return app
