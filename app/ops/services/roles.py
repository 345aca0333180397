"""The application's roles, one table: what each is called, how it is started, how it shows that it answers."""

from __future__ import annotations

import sys
from functools import partial

from app.core.http.places import server_threads
from app.ops.adapters import probes
from app.ops.adapters.run_folder import RunFolder
from app.ops.types import Role, Stage
from config.settings import Settings

WORKERS = {"chain": "chain,oracle", "perps": "perps,liquidation", "default": "default,bulk"}
"""One worker a class of queues, so that a slow class never starves liquidations."""

CELERY = (sys.executable, "-m", "celery", "-A", "tasks.celery_app")
SOFT_SHUTDOWN = {"REMAP_SIGTERM": "SIGQUIT"}
"""Celery's soft shutdown: a worker that is told to stop lets its task finish for a few seconds."""


def application_roles(settings: Settings, run: RunFolder, *, broker_url: str) -> list[Role]:
    """Migrations, API, dispatcher, stream, workers, price stream, beat, Flower; the broker may be the stack's own."""
    return [
        Role(
            name="migrate",
            command=(sys.executable, "manage.py", "migrate"),
            stage=Stage.SETTLE,
            log=run.log("migrate"),
            once=True,
        ),
        _api(settings, run),
        Role(
            name="dispatcher",
            command=(sys.executable, "manage.py", "dispatcher"),
            stage=Stage.SERVE,
            log=run.log("dispatcher"),
        ),
        _stream(settings, run),
        *(_worker(settings, run, name, queues, broker_url) for name, queues in WORKERS.items()),
        *([_price_stream(run)] if settings.oracle.stream else []),
        Role(
            name="beat",
            command=(*CELERY, "beat", "-S", "tasks.beat:PostgresScheduler", "--pidfile="),
            stage=Stage.WATCH,
            log=run.log("beat"),
        ),
        _flower(settings, run),
    ]


def _api(settings: Settings, run: RunFolder) -> Role:
    http = settings.http
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", http.host, "--port", str(http.port)]
    command += ["--factory", "--workers", str(http.workers), "--blocking-threads", str(server_threads(http.threads))]
    command += ["--workers-kill-timeout", "10s", "--respawn-failed-workers", "app.factory:create_app"]
    url = f"http://{reachable(http.host)}:{http.port}"
    return Role(
        name="api",
        command=tuple(command),
        stage=Stage.SERVE,
        log=run.log("api"),
        prepare=run.empty_metrics,
        environment={"PROMETHEUS_MULTIPROC_DIR": str(run.metrics)},  # its processes count into one sum
        ready=partial(probes.http_answers, f"{url}/health/live"),
        port=http.port,
        url=url,
    )


def _worker(settings: Settings, run: RunFolder, name: str, queues: str, broker_url: str) -> Role:
    command = [*CELERY, "worker", "-n", f"{name}@%h", "-Q", queues, "-c", str(settings.worker_concurrency)]
    return Role(
        name=f"worker-{name}",
        command=(*command, "--without-gossip", "--without-mingle"),
        stage=Stage.WORK,
        log=run.log(f"worker-{name}"),
        environment=SOFT_SHUTDOWN,
        ready=partial(probes.worker_answers, broker_url, name),
        stop_seconds=20.0,
    )


def _price_stream(run: RunFolder) -> Role:
    return Role(
        name="price-stream",
        command=(sys.executable, "manage.py", "price-stream"),
        stage=Stage.WORK,
        log=run.log("price-stream"),
        stop_seconds=20.0,  # it notices with the next update, or when the stream has been silent for too long
    )


def _stream(settings: Settings, run: RunFolder) -> Role:
    stream = settings.stream
    url = f"http://{reachable(stream.host)}:{stream.port}"
    return Role(
        name="stream",
        command=(sys.executable, "manage.py", "stream"),
        stage=Stage.SERVE,
        log=run.log("stream"),
        ready=partial(probes.http_answers, f"{url}/health/ready"),
        port=stream.port,
        url=url,
    )


def _flower(settings: Settings, run: RunFolder) -> Role:
    flower = settings.flower
    url = f"http://{reachable(flower.host)}:{flower.port}"
    return Role(
        name="flower",
        command=(sys.executable, "manage.py", "flower"),
        stage=Stage.WATCH,
        log=run.log("flower"),
        ready=partial(probes.http_answers, f"{url}/healthcheck"),
        port=flower.port,
        url=url,
    )


def reachable(host: str) -> str:
    """The address to dial for a server that listens on `host`."""
    dialled = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{dialled}]" if ":" in dialled else dialled
