"""`make up` as it is: every role of the table, in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest
import requests

from app.ops.adapters import process_table
from app.ops.adapters.process import free_port
from app.ops.adapters.run_folder import RunFolder
from tests.ops.conftest import ROOT, RUNS, alive_in

ROLES = ["supervisor", "postgres", "broker", "cache", "anvil", "price-server", "api", "dispatcher", "worker-chain"]
ROLES += ["worker-perps", "worker-default", "beat", "flower"]


@pytest.mark.flow
@pytest.mark.usefixtures("whole_stack_alone")
def test_every_role_starts_answers_and_stops(checkout: Path, anvil_binary: Path) -> None:
    run = RunFolder(checkout / ".run")
    run.open()
    (run.path / "node").symlink_to(ROOT / ".run" / "node")
    ports = {name: str(free_port()) for name in ("HTTP__PORT", "FLOWER__PORT")}
    up = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=checkout, env=os.environ | ports, stdout=subprocess.PIPE, text=True
    )
    timer = Timer(150, up.terminate)
    timer.start()
    try:
        said = []
        for line in up.stdout:
            said.append(line)
            if RUNS in line:
                break
        text = "".join(said)
        assert RUNS in text, text
        _look(checkout, ports, text)
        up.send_signal(signal.SIGINT)
        said = list(up.stdout)
        assert up.wait() == 0
        assert not [line for line in said if "killed" in line], "each stopped by itself"
        assert alive_in(run) == []
    finally:
        timer.cancel()
        up.terminate()
        up.wait()
        up.stdout.close()
        process_table.sweep(run.path, 5)


def _look(checkout: Path, ports: dict[str, str], text: str) -> None:
    status = subprocess.run(
        [sys.executable, "manage.py", "status", "--json"], cwd=checkout, capture_output=True, text=True, check=False
    )
    rows = json.loads(status.stdout)
    assert [row["role"] for row in rows] == ROLES
    assert [row["role"] for row in rows if not row["alive"]] == []

    api = f"http://127.0.0.1:{ports['HTTP__PORT']}"
    assert requests.get(f"{api}/health/live", timeout=5).json()["status"] == "live"
    flower = f"http://127.0.0.1:{ports['FLOWER__PORT']}"
    assert requests.get(f"{flower}/api/workers", timeout=5).status_code == 401
    login = re.search(r"login (\S+) / (\S+)", text)
    assert login is not None
    workers = requests.get(f"{flower}/api/workers?refresh=1", auth=(login[1], login[2]), timeout=20).json()
    assert {name.split("@")[0] for name in workers} == {"chain", "perps", "default"}
