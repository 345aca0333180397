"""Compiled contracts, made when asked for and kept in `contracts/build/` until the source or the compiler changes."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parent
CONTRACTS = ("dev_token", "dev_pyth", "perp")
_RECIPE = "gas"  # the optimisation: part of what an artifact depends on


@dataclass(frozen=True)
class Artifact:
    """What a deployment needs: the ABI as a list of entries and the creation bytecode as 0x hex."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str


def artifact(name: str, folder: Path = SOURCES / "build") -> Artifact:
    """The compiled contract `name`, compiled now only when the kept one is missing or made from something else."""
    source = (SOURCES / f"{name}.vy").read_text()
    made_from = hashlib.sha256("\0".join((source, version("vyper"), _RECIPE)).encode()).hexdigest()
    path = folder / f"{name}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    if kept.get("made_from") != made_from:
        kept = {"made_from": made_from, **_compile(name, source)}
        _write(path, json.dumps(kept, indent=1))
    return Artifact(name, kept["abi"], kept["bytecode"])


def build_all() -> list[Artifact]:
    """Every contract of ours."""
    return [artifact(name) for name in CONTRACTS]


def _compile(name: str, source: str) -> dict[str, Any]:
    # Imported here, as a kept artifact needs no compiler: a third of a second, and a package production lacks.
    from vyper.compiler import compile_code  # noqa: PLC0415
    from vyper.compiler.settings import OptimizationLevel, Settings  # noqa: PLC0415

    compiled: dict[str, Any] = compile_code(
        source,
        contract_path=f"{name}.vy",
        output_formats=["abi", "bytecode"],
        settings=Settings(optimize=OptimizationLevel.GAS),
    )
    return compiled


def _write(path: Path, text: str) -> None:
    # Whole or not at all: several processes may build at the same time.
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)
