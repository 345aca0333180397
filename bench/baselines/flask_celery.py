"""The lean floor with a publish: validate, INSERT, commit, and `apply_async` to Celery before the answer.

The row is `bench/baselines/flask_insert.py`'s; the task gets its id. Should the process die between the commit and the
publish, the row is there and nobody works on it.
"""

from __future__ import annotations

import os

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from bench.baselines.celery_noop import app as celery_app
from bench.baselines.celery_noop import noop
from bench.baselines.flask_insert import insert_job, make_app


def create_app() -> Flask:
    """What granian starts."""
    app, engine = make_app("flask_celery")
    # A broker connection for each thread, as for the database; Celery's default of ten would make threads wait.
    celery_app.conf.broker_pool_limit = int(os.environ["HTTP__THREADS"])

    @app.post("/v1/jobs")
    def submit() -> ResponseReturnValue:
        job = insert_job(engine, request.get_json())
        noop.apply_async(args=(job["id"],))
        return jsonify(job), 202

    return app
