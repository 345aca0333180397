"""Two stacks, or two test processes, that want the node at the same moment: one installs, the other waits for it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from app.ops.adapters import embedded_anvil
from tests.ops.conftest import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's list of locks tells who waits")
def test_an_installation_under_way_is_waited_for(tmp_path: Path, anvil_binary: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    command = [sys.executable, "-m", "app.ops.adapters.embedded_anvil", str(folder)]
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(command, cwd=ROOT, env={"NPM_CONFIG_REGISTRY": "http://127.0.0.1:9"})
        while f"-> FLOCK  ADVISORY  WRITE {second.pid} " not in Path("/proc/locks").read_text():
            assert second.poll() is None, "it did not wait"
        (folder / "node_modules").symlink_to(ROOT / ".run" / "node" / "node_modules")
    assert second.wait() == 0
    assert embedded_anvil.anvil_binary(folder).exists()
