"""`make up`: one run of the whole stack, from the lock to the last process's end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.ops.adapters.run_folder import RunFolder
from app.ops.services.environment import read_settings
from app.ops.services.recovery import clean_up
from app.ops.services.stack import Plan, plan_stack
from app.ops.services.supervisor import Supervisor
from config.settings import Settings

Planner = Callable[[Settings, RunFolder], Plan]


def up(root: Path, run: RunFolder, say: Callable[[str], None], plan_of: Planner = plan_stack) -> None:
    """Run the stack until a signal stops it. Raises OpsError, one sentence with a way out, when it does not start.

    Then it waits quietly: what the roles write goes to their log files and never through the supervisor, the table of
    addresses stays on the screen, and only what needs a person (a role that died) is said.
    """
    settings = read_settings(root)
    with run.lock():
        clean_up(run, say)
        run.rotate_logs()
        plan = plan_of(settings, run)
        supervisor = Supervisor(plan.roles, run, environment=plan.environment, root=root, say=say)
        supervisor.run(lambda: say(addresses(plan, settings, run)))


def addresses(plan: Plan, settings: Settings, run: RunFolder) -> str:
    """What runs where, and how to log in."""
    logins = {
        "flower": f"login {settings.flower.user} / {plan.environment.get('FLOWER__PASSWORD', '(FLOWER__PASSWORD)')}",
        "api": "documentation at /docs",
        "stream": "by tickets: POST /v1/stream-tickets",
    }
    rows = [(role.name, role.url, logins.get(role.name, "")) for role in plan.roles if role.url]
    lines = [f"  {name:<14} {url:<52} {login}".rstrip() for name, url, login in rows]
    return "\n".join(
        [
            "",
            "Watchkeeper runs.",
            *lines,
            f"  passwords of the servers: {run.secrets_file}",
            f"  logs: {run.logs} (or `python manage.py logs -f`)",
            "Ctrl-C stops everything.",
        ]
    )
