"""What of the stack is alive."""

from __future__ import annotations

from typing import TypedDict

from app.ops.adapters import process_table
from app.ops.adapters.run_folder import RunFolder


class RoleStatus(TypedDict):
    """One row of `manage.py status`."""

    role: str
    pid: int
    port: int | None
    url: str | None
    log_file: str | None
    alive: bool


def role_statuses(run: RunFolder) -> list[RoleStatus]:
    """The supervisor and its roles, in the order of their start; empty when nothing was left running."""
    stack = run.find_stack()
    if stack is None:
        return []
    supervisor = RoleStatus(
        role="supervisor",
        pid=stack.supervisor_pid,
        port=None,
        url=None,
        log_file=None,
        alive=process_table.lives(stack.supervisor_pid, stack.supervisor_started_at),
    )
    roles = [
        RoleStatus(
            role=role.role,
            pid=role.pid,
            port=role.port,
            url=role.url,
            log_file=role.log_file,
            alive=process_table.lives(role.pid, role.started_at),
        )
        for role in stack.roles
    ]
    return [supervisor, *roles]


def table(rows: list[RoleStatus]) -> str:
    """The rows for a person."""
    if not rows:
        return "Nothing runs here: `make up` starts it."
    lines = [f"{'role':<14} {'pid':>8} {'port':>6}  {'state':<6} url"]
    for row in rows:
        state = "alive" if row["alive"] else "DEAD"
        lines.append(
            f"{row['role']:<14} {row['pid']:>8} {row['port'] or '':>6}  {state:<6} {row['url'] or ''}".rstrip()
        )
    if not rows[0]["alive"]:
        lines.append("The supervisor was killed: `make up` stops what it left and starts afresh.")
    return "\n".join(lines)
