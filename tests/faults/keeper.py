"""One of ours under a keeper that gives birth to it again whenever it dies, as `make up` and every init system do.

The keeper has imported everything already, so that a birth is a fork and takes milliseconds: a row may kill as often as
it likes. `python -m tests.faults.keeper api|dispatcher|worker|beat [options]`
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable

from granian import Granian
from granian.constants import Interfaces

from config.settings import load_settings
from tasks.dispatcher import serve
from tests.faults import api as _api  # noqa: F401 - imported before the fork
from tests.faults.clock import set_clock
from tests.faults.deaths import take_order
from tests.faults.kinds import FAULTS_MENU
from tests.faults.worker_app import celery_app

QUEUES = "default,bulk,chain,oracle,perps,liquidation"
BEAT = ("beat", "-S", "tests.faults.worker_app:Scheduler", "--pidfile=")


def api(port: str) -> None:
    """Granian, as the roles' table starts it, with one process."""
    Granian(
        "tests.faults.api:make_api",
        port=int(port),
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=16,
        workers_kill_timeout=5,
    ).serve()


def dispatcher() -> None:
    """A dispatcher until it is killed."""
    take_order()
    serve(load_settings(), FAULTS_MENU)


def worker(name: str, concurrency: str) -> None:
    """A prefork worker on every queue."""
    options = ("-n", f"{name}@{socket.gethostname()}", "-Q", QUEUES, "-c", concurrency)
    celery_app.worker_main(["worker", *options, "--without-gossip", "--without-mingle"])


def beat() -> None:
    """Beat with the schedules of the table."""
    take_order()
    celery_app.start(list(BEAT))


ROLES: dict[str, Callable[..., None]] = {"api": api, "dispatcher": dispatcher, "worker": worker, "beat": beat}


def keep(run: Callable[[], None]) -> None:
    """Fork and run, again and again."""
    while True:
        child = os.fork()
        if child == 0:
            set_clock()
            run()
            sys.exit(0)
        os.waitpid(child, 0)
        time.sleep(0.02)


if __name__ == "__main__":
    role, *options = sys.argv[1:]
    keep(lambda: ROLES[role](*options))
