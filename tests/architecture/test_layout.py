"""Rooms and sizes: doorplates that tell the truth, no drawers for everything, files that fit in a head."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import Source, planted, sources

EVERYWHERE = ("app", "bench", "tasks", "config", "contracts", "tests", "manage.py", "celeryconfig.py")
OUTER = ("__init__", "routes", "schemas", "services", "jobs", "adapters")
INNER = ("queries", "models", "maths", "types", "errors")
ROLES = frozenset(OUTER + INNER)
FOLDERS_ONLY = frozenset({"services", "adapters"})
DRAWERS = frozenset({"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"})
LONG, TOO_LONG = 300, 400

# Code over 300 lines, each file with the reason why it is not two. Tests, which are read one by one, have the 400 only.
LONG_FILES: dict[str, str] = {
    "app/chain/errors.py": "a catalogue: one short class after the other, and nothing that could be apart",
}


def role_faults(source: Source) -> list[str]:
    """A file of a feature that is none of the known rooms."""
    if source.role is None:
        return []
    if source.role not in ROLES:
        return [f"{source.path}: `{source.role}` is no room of a feature"]
    if source.role in FOLDERS_ONLY and len(source.path.parts) == 3:
        return [f"{source.path}: {source.role} is a folder, a file a topic or a supplier"]
    return []


def length_faults(source: Source) -> list[str]:
    """A file over 400 lines, or code over 300 that is not on the list."""
    lines = len(source.text.splitlines())
    if lines > TOO_LONG:
        return [f"{source.path}: {lines} lines; make it a folder of topics"]
    if lines > LONG and source.path.parts[0] != "tests" and str(source.path) not in LONG_FILES:
        return [f"{source.path}: {lines} lines; split it by topic, or say in LONG_FILES why not"]
    return []


def doorplate_faults(source: Source) -> list[str]:
    """An `__init__.py` without a docstring, or with code.

    Some hold more: adapters build themselves from settings; the folders of models and routes, and those of core, list
    what is in them.
    """
    if source.path.name != "__init__.py":
        return []
    if ast.get_docstring(source.tree) is None:
        return [f"{source.path}: no docstring says what is in here"]
    code = source.tree.body[1:]
    if source.role in ("models", "routes") or source.path.is_relative_to("app/core"):
        code = [node for node in code if not isinstance(node, ast.ImportFrom | ast.Assign)]
    if code and source.role != "adapters":
        return [f"{source.path}:{code[0].lineno}: code in a doorplate"]
    return []


def named(role: str, feature: str, pattern: str) -> set[str]:
    """The strings that a feature's files of one role give to `pattern` (`__tablename__`, or a keyword `name`)."""
    found = set()
    for source in sources(f"app/{feature}"):
        if source.role == role:
            for node in ast.walk(source.tree):
                found |= _given(node, pattern)
    return found


def _given(node: ast.AST, pattern: str) -> set[str]:
    value: ast.expr | None = None
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == pattern:
        value = node.value
    if isinstance(node, ast.keyword) and node.arg == pattern:
        value = node.value
    return {str(value.value)} if isinstance(value, ast.Constant) else set()


def front_doorplates() -> list[Source]:
    """The doorplate of each feature itself."""
    return [source for source in sources("app") if source.feature and source.role == "__init__"]


def test_files_fit_in_a_head() -> None:
    everything = {str(source.path): source for source in sources(*EVERYWHERE)}
    assert [fault for source in everything.values() for fault in length_faults(source)] == []
    short = [path for path in LONG_FILES if len(everything[path].text.splitlines()) <= LONG]
    assert short == [], "no longer long: take it off the list"


def test_doorplates_are_doorplates() -> None:
    assert [fault for source in sources("app", "tasks", "config", "bench") for fault in doorplate_faults(source)] == []


@pytest.mark.parametrize("source", front_doorplates(), ids=lambda source: source.feature)
def test_a_doorplate_names_tables_kinds_and_dependencies(source: Source) -> None:
    text = ast.get_docstring(source.tree) or ""
    assert source.feature is not None
    owned = named("models", source.feature, "__tablename__") | named("jobs", source.feature, "name")
    assert [name for name in sorted(owned) if name not in text] == []
    assert "Depends on" in text


def test_features_have_the_known_rooms_only() -> None:
    assert [fault for source in sources("app") for fault in role_faults(source)] == []


def test_no_drawers_for_everything() -> None:
    found = [
        str(source.path)
        for source in sources(*EVERYWHERE)
        for part in source.path.with_suffix("").parts
        if part in DRAWERS
    ]
    assert found == []


@pytest.mark.parametrize("path", ["app/jobs/utils.py", "app/jobs/views/list.py", "app/jobs/services.py"])
def test_a_strange_room_is_seen(path: str) -> None:
    assert role_faults(planted(path, ""))


def test_a_long_file_is_seen() -> None:
    assert not length_faults(planted("app/jobs/types.py", "x = 1\n" * 300))
    assert length_faults(planted("app/jobs/types.py", "x = 1\n" * 301))
    assert not length_faults(planted("tests/jobs/test_worker.py", "x = 1\n" * 400))
    assert length_faults(planted("tests/jobs/test_worker.py", "x = 1\n" * 401))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("app/jobs/services/__init__.py", ""),
        ("app/jobs/__init__.py", '"""Jobs."""\nfrom app.jobs import types\n'),
        ("app/jobs/models/__init__.py", '"""Tables."""\ndef find() -> None: ...\n'),
    ],
)
def test_code_in_a_doorplate_is_seen(path: str, text: str) -> None:
    assert doorplate_faults(planted(path, text))
