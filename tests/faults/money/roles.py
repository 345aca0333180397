"""One of ours under a keeper that forks it again whenever it dies, as every init system does.

The keeper has imported everything, so that a birth takes milliseconds and a row may kill as often as it likes.
`python -m tests.faults.money.roles worker NAME | dispatcher | beat`
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable

from config.settings import load_settings
from tasks.dispatcher import serve
from tests.faults.money.kinds import PAY_MENU
from tests.faults.money.worker_app import app

CHILDREN = 3


def worker(name: str) -> None:
    """A prefork worker on the queues of the storms."""
    options = ("-n", f"{name}@{socket.gethostname()}", "-Q", "chain,liquidation", "-c", str(CHILDREN))
    app.worker_main(["worker", *options, "--without-gossip", "--without-mingle"])


def dispatcher() -> None:
    """A dispatcher with the storms' kinds on its menu."""
    serve(load_settings(), PAY_MENU)


def beat() -> None:
    """Beat; the only schedule there is fires the watcher."""
    app.start(["beat", "-S", "tasks.beat:PostgresScheduler", "--pidfile="])


ROLES: dict[str, Callable[..., None]] = {"worker": worker, "dispatcher": dispatcher, "beat": beat}


def keep(run: Callable[[], None]) -> None:
    """Fork and run, again and again."""
    while True:
        child = os.fork()
        if child == 0:
            run()
            sys.exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    role, *options = sys.argv[1:]
    app.loader.import_default_modules()
    keep(lambda: ROLES[role](*options))
