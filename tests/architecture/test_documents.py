"""The documents tell the truth: what they name exists, what they draw is in the code, what is made is up to date."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from app.errors import catalogue
from app.jobs.schemas import JobSchema
from app.jobs.types import TRANSITIONS
from app.menu import MENU
from app.ops.services.reference import pages
from config.settings import Settings
from manage import cli
from tests.architecture.source import ROOT, SHARED, features, sources
from tests.architecture.test_commits import EDGES
from tests.architecture.test_imports import contracts

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# `app/jobs/routes/jobs.py`, `tasks/`, or with what is in it: `tasks/base.py:commit`,
# `tasks/heartbeat.py:Heartbeat.beating`.
PLACE = re.compile(r"`(manage\.py|(?:app|tasks|config|contracts|migrations|tests|docs|bench)/[\w./-]*)(?::([\w.]+))?`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
ARROW = re.compile(r"^\s*(\w+|\[\*\]) --> (\w+|\[\*\])", re.MULTILINE)


def places(text: str) -> Iterator[tuple[str, str | None]]:
    """The paths a document names, each with the name inside it, if it gives one."""
    for found in PLACE.finditer(text):
        yield found[1], found[2]


def is_defined(path: Path, name: str) -> bool:
    """True when the file defines that function, class, method or constant."""
    body: list[ast.stmt] = ast.parse(path.read_text()).body
    for part in name.split("."):
        found = [node for node in body if part in _names(node)]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {ast.unparse(target) for target in node.targets}
    return {ast.unparse(node.target)} if isinstance(node, ast.AnnAssign) else set()


def missing(text: str) -> list[str]:
    """What a document names and the project has not."""
    return [
        f"{path}:{name}" if name else path
        for path, name in places(text)
        if not (ROOT / path).exists() or (name and not is_defined(ROOT / path, name))
    ]


def arrows(text: str) -> set[tuple[str, str]]:
    """The transitions drawn in a Mermaid state diagram, without its beginning and ends."""
    drawn = {(found[1], found[2]) for found in ARROW.finditer(text)}
    return {arrow for arrow in drawn if "[*]" not in arrow}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    assert missing(text) == []
    assert [link for link in LINK.findall(text) if not (document.parent / link).exists()] == []


def test_a_wrong_name_is_seen() -> None:
    assert missing("see `app/jobs/nowhere.py` and `tasks/base.py:commmit`, `tasks/heartbeat.py:Heartbeat.stop`") != []
    assert missing("see `tasks/base.py:commit`, `tasks/heartbeat.py:Heartbeat.beating`") == []


def test_the_first_job_is_shown_as_the_api_shows_it() -> None:
    (answer,) = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shown = json.loads(answer)
    assert list(shown) == list(JobSchema().dump_fields)
    MENU.kinds[shown["kind"]].params().load(shown["params"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    text = document.read_text()
    assert [verb for verb in re.findall(r"manage\.py ([a-z]+)", text) if verb not in cli.commands] == []
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [verb for verb in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE) if verb not in targets] == []


def test_the_drawn_states_are_the_states() -> None:
    text = (ROOT / "docs/job-states.md").read_text()
    expected = {(source, target) for source, targets in TRANSITIONS.items() for target in targets}
    assert arrows(text) == expected


def test_a_wrong_arrow_is_seen() -> None:
    assert arrows("[*] --> queued\n  queued --> running : claimed\nrunning --> [*]") == {("queued", "running")}


@pytest.mark.parametrize("path", pages(MENU, catalogue(), Settings))
def test_generated_pages_are_up_to_date(path: str) -> None:
    assert (ROOT / path).read_text() == pages(MENU, catalogue(), Settings)[path], "run `python manage.py docs`"


def variables(settings: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Every setting as an environment variable, with its meaning."""
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from variables(field.annotation, f"{prefix}{name.upper()}__")
        else:
            yield prefix + name.upper(), field.description


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    assert [name for name, _ in variables(Settings) if f"| `{name}` |" not in text] == []
    assert [name for name, meaning in variables(Settings) if not meaning] == [], "say in config/groups.py what it does"


def test_the_readme_s_settings_exist() -> None:
    known = {name for name, _ in variables(Settings)}
    named = re.findall(r"`([A-Z]+_[A-Z_]+)(?:=\w+)?`", (ROOT / "README.md").read_text())
    assert [name for name in named if name not in known] == []


def test_the_map_names_everything_in_app_from_the_bottom_up() -> None:
    (drawn,) = re.findall(r"```\napp/\n(.*?)```", (ROOT / "docs/ARCHITECTURE.md").read_text(), re.DOTALL)
    assert re.findall(r"^  (\w+)/", drawn, re.MULTILINE) == bottom_up()


def bottom_up() -> list[str]:
    """What lies under app/, from the bottom upwards, as the import contract has it."""
    (layers,) = (contract["layers"] for contract in contracts() if contract["name"].startswith("Features"))
    names = [name for layer in reversed(layers) for name in re.findall(r"\w+", layer)]
    return [name for name in names if name in SHARED or name in features()]


def test_the_architecture_names_every_edge_that_commits() -> None:
    text = (ROOT / "docs/ARCHITECTURE.md").read_text()
    assert [path for path in EDGES if f"`{path}" not in text] == []


def test_every_errors_module_is_in_the_catalogue() -> None:
    modules = {
        str(source.path.with_suffix("")).replace("/", ".")
        for source in sources("app")
        if source.role == "errors" and source.path.name != "__init__.py"
    }
    assert modules <= {error.__module__ for error in catalogue()}
