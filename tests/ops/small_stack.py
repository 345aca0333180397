"""The stack of these tests, as a process: `up` with the real servers, the real migration and a few small roles.

    python -m tests.ops.small_stack RUN_FOLDER [ROLE ...]

With only small roles named, or none: all servers and the migration. The small roles are named by what they do. `worker`
has a child in its own group and one in a session of its own; `mortal` ends after a moment; `stubborn` and `deaf` ignore
SIGTERM, and `deaf` is given more time than a test has; `broken` ends before it is ready; `slow` is never ready.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from app.core.errors import AppError
from app.ops.adapters.run_folder import RunFolder
from app.ops.services.roles import application_roles
from app.ops.services.stack import Plan, plan_servers
from app.ops.services.up import up
from app.ops.types import Role, Stage
from config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("postgres", "broker", "cache", "anvil-install", "anvil", "migrate")
FAMILY = "import subprocess, sys; s = [sys.executable, '-c', 'import time; time.sleep(600)'];"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('at work', flush=True); time.sleep(600)"
BODIES = {
    "worker": FAMILY + "subprocess.Popen(s); subprocess.Popen(s, start_new_session=True);"
    " print('at work', flush=True); subprocess.run(s)",
    "mortal": "import time; time.sleep(0.2); raise SystemExit('tired of life')",
    "stubborn": DEAF,
    "deaf": DEAF,
    "broken": "raise SystemExit('nothing works')",
    "slow": "import time; time.sleep(600)",
}


def plan(settings: Settings, run: RunFolder) -> Plan:
    """The roles that the command line names; all of `SERVERS` when it names none of them."""
    named = sys.argv[2:]
    servers = [name for name in named if name not in BODIES] or SERVERS
    made = plan_servers(settings, run)
    known = [*made.roles, *application_roles(settings, run, broker_url="")]
    small = [_small(name, run) for name in named if name in BODIES]
    return Plan([*(role for role in known if role.name in servers), *small], made.environment)


def _small(name: str, run: RunFolder) -> Role:
    return Role(
        name=name,
        command=(sys.executable, "-c", BODIES[name]),
        stage=Stage.WORK,
        log=run.log(name),
        ready=partial(_is_ready, name, run),
        url=f"http://127.0.0.1/{name}",
        stop_seconds=600.0 if name == "deaf" else 1.0,
        way_out="mend it",
    )


def _is_ready(name: str, run: RunFolder) -> bool:
    if "at work" in BODIES[name]:
        return "at work" in run.log(name).read_text()
    return name == "mortal"


def say(text: str) -> None:
    """To the test that reads along."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        up(ROOT, RunFolder(Path(sys.argv[1])), say, plan)
    except AppError as error:
        say(f"FAILED {error.detail}")
        raise SystemExit(1) from None
