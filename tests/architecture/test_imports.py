"""Imports point down: the contracts in pyproject.toml hold, and each of them can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import ROOT

PACKAGES = ("app", "config", "migrations", "tasks")
LINT = (sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-logo")

# One violation for each contract: the file it is put into, and the line.
PLANTS = {
    "Features import downwards": ("app/core/clock.py", "import app.jobs.types"),
    "Roles inside a feature import downwards": ("app/jobs/queries/claim.py", "import app.jobs.services.run"),
    "No cycles": ("app/jobs/services/enqueue.py", "import app.jobs.services.submit"),
    "Maths, types and errors are pure": ("app/jobs/maths.py", "import app.core.clock"),
    "No Flask below the routes": ("app/jobs/services/run.py", "import app.core.http.unit_of_work"),
    "Settings are read at the edges": ("app/jobs/services/run.py", "import config.settings"),
    "The application does not know its workers": ("app/factory.py", "import tasks.celery_app"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter in `folder`, on the packages that lie there."""
    return subprocess.run([*LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def contracts() -> list[dict[str, Any]]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = document["tool"]["importlinter"]["contracts"]
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's packages and contracts, to plant something in."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_point_down() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", PLANTS)
def test_a_contract_can_be_broken(copy: Path, name: str) -> None:
    path, line = PLANTS[name]
    file = copy / path
    file.write_text(file.read_text() + line + "\n")
    assert f"{name} BROKEN" in lint(copy).stdout


def test_every_contract_was_seen_to_break() -> None:
    assert {contract["name"] for contract in contracts()} == PLANTS.keys()


def test_a_new_folder_needs_a_place(copy: Path) -> None:
    (copy / "app" / "gadgets").mkdir()
    (copy / "app" / "gadgets" / "__init__.py").write_text('"""A feature nobody has placed."""\n')
    assert "app.gadgets" in lint(copy).stdout
