"""A foreign feature is entered through its services, types, errors and menu; only the edges know more of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import Source, features, planted, sources

DOORS = frozenset({"services", "types", "errors", "jobs"})

# A verb of the command line loads its service when it runs: `service("app.ops.services.up")`.
LOADERS = frozenset({"service", "import_module"})

# What an edge may know besides, and why.
EDGES: dict[str, frozenset[str]] = {
    # Builds the adapters, hangs up the routes, and hands the gauges' statements to the metrics.
    "app/factory.py": frozenset({"adapters", "queries", "routes"}),
    "tasks/commands/shared.py": frozenset({"adapters"}),  # hands the run folder to the services of the stack
    "tasks/commands/user.py": frozenset({"adapters"}),  # builds what hashes passwords
    "tasks/commands/signer.py": frozenset({"adapters"}),  # opens the keystore, asks the node
    "app/models.py": frozenset({"models"}),  # shows migrations every table
    "tasks/dispatcher.py": frozenset({"adapters"}),  # owns the broker's and the stream's connections
    "tasks/stream.py": frozenset({"adapters", "routes"}),  # builds the streaming process around its app
    "tasks/runtime.py": frozenset({"adapters"}),  # builds the adapters once a worker process
    "tasks/price_stream.py": frozenset({"adapters"}),  # builds the oracle's, a process of its own
    "tasks/indexing.py": frozenset({"adapters"}),  # the same for the command that only indexes
}


def imported(source: Source) -> Iterator[tuple[int, str]]:
    """Every module of app/ that a file names, and every name it takes from one."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call) and ast.unparse(node.func) in LOADERS and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def wrong_doors(source: Source, known: list[str]) -> list[str]:
    """Where a file enters a feature that is not its own by another way than a door."""
    allowed = DOORS | EDGES.get(str(source.path), frozenset())
    found = []
    for line, name in imported(source):
        parts = name.split(".")
        feature = parts[1] if parts[0] == "app" and len(parts) > 1 and parts[1] in known else None
        if feature is None or feature == source.feature:
            continue
        if len(parts) < 3 or parts[2] not in allowed:
            found.append(f"{source.path}:{line}: enters {feature} by {name}")
    return found


def test_features_are_entered_by_their_doors() -> None:
    known = features()
    assert [fault for source in sources("app", "tasks", "manage.py") for fault in wrong_doors(source, known)] == []


def test_every_edge_needs_what_it_is_allowed() -> None:
    for path, roles in EDGES.items():
        (source,) = sources(path)
        used = {name.split(".")[2] for _, name in imported(source) if name.startswith("app.") and name.count(".") > 1}
        assert roles <= used, f"{path} no longer needs {roles - used}"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("app/perps/services/scan.py", "from app.jobs.queries.claim import claim"),
        ("app/perps/services/scan.py", "from app.jobs import models"),
        ("app/perps/services/scan.py", "import app.jobs.adapters.wake"),
        ("app/perps/services/scan.py", "from app import jobs"),
        ("tasks/perps.py", "from app.jobs.queries import claim"),
        ("manage.py", "service('app.jobs.queries.claim').claim()"),
        ("app/factory.py", "from app.jobs import models"),
    ],
)
def test_a_wrong_door_is_seen(path: str, line: str) -> None:
    assert wrong_doors(planted(path, line), ["jobs", "perps"])


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("app/perps/services/scan.py", "from app.jobs.services.enqueue import enqueue"),
        ("app/perps/services/scan.py", "from app.core.db import release"),
        ("app/jobs/services/run.py", "from app.jobs.queries import claim"),
        ("app/factory.py", "from app.jobs.routes import jobs"),
    ],
)
def test_a_door_is_a_door(path: str, line: str) -> None:
    assert not wrong_doors(planted(path, line), ["jobs", "perps"])
