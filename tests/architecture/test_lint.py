"""ruff and mypy in the ordinary run, and proof that the rules the house relies on are switched on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT


def run(*command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a checker by this interpreter, in the project's folder."""
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, input=text, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "command", [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)], ids=" ".join
)
def test_the_checkers_have_nothing_to_say(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("def rate() -> int:\n    return 1\n", "D103"),
        ("import time\n\nSTARTED_AT = time.time()\n", "TID251"),
        ("from datetime import UTC, datetime\n\nSTARTED_AT = datetime.now(UTC)\n", "TID251"),
        ("def rate() -> int:\n    from app.core import db\n    return db\n", "PLC0415"),
        ("print(1)\n", "T201"),
        ("try:\n    x = 1\nexcept ValueError:\n    pass\n", "SIM105"),
        ("try:\n    x = 1\nexcept Exception:\n    pass\n", "S110"),
        ("def f(n: int) -> int:\n" + "".join(f"    if n == {i}:\n        return {i}\n" for i in range(11)), "C901"),
    ],
)
def test_a_rule_of_the_house_is_on(code: str, rule: str) -> None:
    done = run("ruff", "check", "--stdin-filename", "app/jobs/services/planted.py", "-", text=code)
    assert rule in done.stdout


def test_mypy_wants_types(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("def rate(price): return price\n")
    assert "no-untyped-def" in run("mypy", str(planted)).stdout
