"""Only the edges commit. Below them a transaction is somebody else's."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.source import Source, planted, sources

# The edges, and what each of them ends.
EDGES = {
    "app/accounts/services/cli_users.py": "a user's change, for `manage.py user`",
    "app/chain/services/alarms.py": "an alarm, which must outlive the rollback of what it is about",
    "app/chain/services/cli_index.py": "a range, for `manage.py index`",
    "app/core/http/unit_of_work.py": "a request",
    "app/jobs/services/group_commit.py": "the jobs of several requests, in one statement that commits by itself",
    "app/jobs/services/run.py": "a step of a long job, in the statement that shows the claim's token",
    "manage.py": "the rows of the schedule, after the migrations",
    "tasks/commands/protocol.py": "a protocol's views",
    "tasks/base.py": "a claim, and a job with its writes",
    "tasks/beat.py": "a schedule's slots",
    "tasks/dispatcher.py": "a chore of the dispatcher",
    "tasks/price_stream.py": "the prices of one update of the stream",
    "tasks/runtime.py": "claims, heartbeats and the ends of jobs that wrote nothing: each one statement",
}
AUTOCOMMIT = "AUTOCOMMIT"
OWNER = re.compile(r"(session|connection|engine|database)(\(.*\))?$", re.IGNORECASE)


def commits(source: Source) -> list[str]:
    """Where a file ends a transaction: `.commit`, `engine.begin`, or a connection that commits by itself."""
    return [f"{source.path}:{node.lineno}: commits" for node in ast.walk(source.tree) if _commits(node)]


def _commits(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value == AUTOCOMMIT
    if not isinstance(node, ast.Attribute):
        return False
    # A `commit` that an edge handed down (`run.commit()`) is the edge's own: it is called, but not made here.
    return node.attr in ("commit", "begin") and bool(OWNER.search(ast.unparse(node.value)))


def test_only_the_edges_commit() -> None:
    found = {str(source.path): commits(source) for source in sources("app", "tasks", "config", "manage.py")}
    assert [fault for path, faults in found.items() if path not in EDGES for fault in faults] == []
    assert [path for path in EDGES if not found[path]] == [], "an edge that no longer commits"


@pytest.mark.parametrize(
    "line",
    [
        "session.commit()",
        "publish(session, commit=session.commit)",
        "current_session().commit()",
        "with context.engine.begin() as connection: ...",
        "with Session(engine) as session, session.begin(): ...",
        "with Session(engine).begin(): ...",
        "connection.execution_options(isolation_level='AUTOCOMMIT')",
    ],
)
def test_a_commit_is_seen(line: str) -> None:
    assert commits(planted("app/perps/services/scan.py", line))
