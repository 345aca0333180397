"""Compiled contracts of published packages: fetched once, pinned and checked, kept outside the checkout."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from app.ops.adapters.embedded_anvil import npm_command

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "watchkeeper" / "npm"
MOST_BYTES = 20_000_000


@dataclass(frozen=True)
class Package:
    """A package at a version, by npm's own integrity hash; of its tarball only `folders` of artifacts are kept."""

    name: str
    version: str
    integrity: str
    folders: tuple[str, ...] = field(default=("package/artifacts/contracts/",))

    @cached_property
    def artifacts(self) -> dict[str, Path]:
        """The artifacts by contract name; a test that cannot have them fails and says why."""
        folder = CACHE / f"{self.name.replace('/', '__')}-{self.version}"
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                self._fetch(folder)
        return {path.stem: path for path in sorted(folder.iterdir())}

    def artifact(self, name: str) -> dict[str, Any]:
        """ABI, bytecode and the libraries it is linked with; Chainlink's package nests them another way."""
        found: dict[str, Any] = json.loads(self.artifacts[name].read_text())
        if "compilerOutput" in found:
            output = found["compilerOutput"]
            return {"abi": output["abi"], "bytecode": output["evm"]["bytecode"]["object"], "linkReferences": {}}
        return found

    def _fetch(self, folder: Path) -> None:
        command = npm_command("pack", f"{self.name}@{self.version}", "--pack-destination", str(CACHE))
        path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"PATH": path}, cwd=CACHE, check=False
        )
        tarball = CACHE / f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"
        if done.returncode != 0 or not tarball.exists():
            said = (done.stderr.strip().splitlines() or ["npm said nothing"])[-1]
            pytest.fail(f"{self.name}@{self.version} cannot be fetched from the npm registry: {said}", pytrace=False)
        whole = tarball.read_bytes()
        digest = "sha512-" + base64.b64encode(hashlib.sha512(whole).digest()).decode()
        if digest != self.integrity or len(whole) > MOST_BYTES:
            tarball.unlink()
            pytest.fail(f"{self.name}@{self.version} is not the package that is pinned: {digest}", pytrace=False)
        fresh = folder.with_suffix(".fresh")
        fresh.mkdir(exist_ok=True)
        with tarfile.open(tarball) as packed:
            for member in self._kept(packed.getmembers()):
                content = packed.extractfile(member)
                assert content is not None
                (fresh / Path(member.name).name).write_bytes(content.read())
        tarball.unlink()
        fresh.rename(folder)

    def _kept(self, members: Sequence[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
        return [
            member
            for member in members
            if member.isfile()
            and member.name.startswith(self.folders)
            and member.name.endswith(".json")
            and not member.name.endswith(".dbg.json")
        ]


AAVE = Package(
    "@aave/core-v3",
    "1.19.3",
    "sha512-Xr7+VcoU5b4mPwM4IUCnskw3lciwrnL4Xloyad8GOddYeixnri2lZYobNmErm1LwE50vqjI0O+9QGNKY2TDkeQ==",
)
PERPETUAL = Package(
    "@perp/curie-contract",
    "2.8.4",
    "sha512-fTHxpzzuHlSyCEvI6T8Ya10Oz3Y4T06YTiCciR/4uvR9rx/9Afmm8nDLJ85ZwXiA0edce9bPUkE/ZcKY4xkJEw==",
)
UNISWAP = Package(
    "@uniswap/v3-core",
    "1.0.1",
    "sha512-7pVk4hEm00j9tc71Y9+ssYpO6ytkeI0y7WE9P6UcmNzhxPePwyAxImuhVsTqWK9YFvzgtvzJHi64pBl4jUzKMQ==",
)
CHAINLINK = Package(
    "@chainlink/contracts",
    "0.1.6",
    "sha512-RXKMm+3ADEi1c4/XsXy2Z1m0KQh7H6Nn0FWXmCgXRIorOBt7dvh52c0c41ONJfIhHB/tGeoXnp4lPnZEDqkocA==",
    folders=("package/abi/v0.6/",),
)
