"""HTTP submit: ours beside a route that only INSERTs, and two that also publish to Celery inside the request."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import requests
from sqlalchemy.orm import Session

from app.accounts.adapters.argon2 import Passwords
from app.accounts.services.users import create_user
from app.core.clock import utc_now
from app.core.http.principal import Origin
from bench.report import Row, compared
from bench.stand import OURS, PLAIN, ROOT, Stand

CONNECTIONS = 16
WARM_UP_SECONDS, SECONDS = 0.5, 2.5
BATCH = 100
LOGIN, PASSWORD = "bench", "correct horse battery staple"
JOB = {"kind": "jobs.probe", "params": {"steps": 1, "note": "hello"}}
Figures = dict[str, float]


def measure(stand: Stand, *, runs: int, progress: Callable[[str], None], seconds: float = SECONDS) -> list[Row]:
    """All variants `runs` times in turn, each alone; nobody consumes meanwhile."""
    ours, our_port = stand.start_api("api", "app.factory:create_app")
    plain = {"DATABASE_URL": stand.postgres.url(PLAIN)}
    insert, insert_port = stand.start_api("flask-insert", "bench.baselines.flask_insert:create_app", **plain)
    celery, celery_port = stand.start_api("flask-celery", "bench.baselines.flask_celery:create_app", **plain)
    usual, usual_port = stand.start_api("flask-orm-celery", "bench.baselines.flask_orm_celery:create_app", **plain)
    token = sign_in(stand, our_port)
    single, batch = request("/v1/jobs", JOB, token), request("/v1/jobs/batch", {"jobs": [JOB] * BATCH}, token)
    variants: dict[str, tuple[int, bytes, int]] = {
        "ours": (our_port, single, 202),
        "insert": (insert_port, request("/v1/jobs", JOB), 202),
        "celery": (celery_port, request("/v1/jobs", JOB), 202),
        "usual": (usual_port, request("/v1/jobs", JOB), 202),
        "batch": (our_port, batch, 200),
    }
    found: dict[str, list[Figures]] = {name: [] for name in variants}
    for name, variant in variants.items():
        progress(f"submit: {name} warms up")
        load(*variant, warm_up=0.0, seconds=seconds / 2)
    for run in range(runs):
        for name, variant in variants.items():
            progress(f"submit: run {run + 1} of {runs}, {name}")
            empty(stand)
            found[name].append(load(*variant, warm_up=WARM_UP_SECONDS, seconds=seconds))
    stand.end(ours, insert, celery, usual)
    return rows(found)


def rows(found: dict[str, list[Figures]]) -> list[Row]:
    """The figures of all runs, compared."""

    def of(name: str, figure: str) -> list[float]:
        return [one[figure] for one in found[name]]

    batched = [value * BATCH for value in of("batch", "per_second")]
    made = [
        compared(
            "submit/s, baseline: validate + INSERT", of("ours", "per_second"), of("insert", "per_second"), bar=0.8
        ),
        compared(
            "submit/s, baseline: Flask-SQLAlchemy + Celery's delay",
            of("ours", "per_second"),
            of("usual", "per_second"),
            bar=2.5,
        ),
        compared(
            "submit/s, baseline: lean INSERT + Celery publish", of("ours", "per_second"), of("celery", "per_second")
        ),
        compared("submit in batches of 100, jobs/s, baseline: ours single", batched, of("ours", "per_second"), bar=5),
    ]
    for figure in ("p50_ms", "p99_ms"):
        words = figure.replace("_", " ")
        made.append(compared(f"submit {words}, baseline: validate + INSERT", of("ours", figure), of("insert", figure)))
        made.append(
            compared(
                f"submit {words}, baseline: lean INSERT + Celery publish", of("ours", figure), of("celery", figure)
            )
        )
        made.append(Row(metric=f"submit in batches of 100, {words}", ours=median(of("batch", figure))))
    shares = [share for name in found for share in of(name, "own_cpu_share")]
    made.append(Row(metric="load generator, share of one core at most", ours=max(shares)))
    return made


def request(path: str, body: Any, token: str | None = None) -> bytes:
    """An HTTP request as it goes over the wire."""
    content = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}"] + ([f"Authorization: Bearer {token}"] if token else [])
    return "\r\n".join([*lines, "", ""]).encode() + content


def load(port: int, content: bytes, status: int, *, warm_up: float, seconds: float) -> Figures:
    """Drive one server from a process of its own; raises RuntimeError when it refused anything."""
    command = [sys.executable, "-m", "bench.load", str(port), str(CONNECTIONS), str(warm_up), str(seconds), str(status)]
    done = subprocess.run(command, input=content, capture_output=True, cwd=ROOT, check=True)  # noqa: S603 - our own
    figures: Figures = json.loads(done.stdout)
    if figures["refused"]:
        raise RuntimeError(f"{figures['refused']:.0f} requests were not answered with {status}")
    return figures


def sign_in(stand: Stand, port: int) -> str:
    """An access token of a new user who may submit."""
    engine = stand.engine(OURS)
    with Session(engine) as session, session.begin():
        create_user(
            session,
            passwords=Passwords(time_cost=1, memory_kib=1024, parallelism=1, at_once=1),
            login=f"{LOGIN}-{port}",
            password=PASSWORD,
            scopes=["jobs:read", "jobs:write"],
            origin=Origin("bench"),
            now=utc_now(),
        )
    engine.dispose()
    credentials = {"login": f"{LOGIN}-{port}", "password": PASSWORD}
    answer = requests.post(f"http://127.0.0.1:{port}/v1/auth/login", json=credentials, timeout=10)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def empty(stand: Stand) -> None:
    """The same beginning for everybody: no job, no message."""
    for database in (OURS, PLAIN):
        stand.sql(database, "TRUNCATE jobs, jobs_archive")
    stand.redis.flushall()
