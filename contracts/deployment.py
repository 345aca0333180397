"""What a deployment left behind: all that a client of the local exchange must know, as a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class DeployedContract:
    """Where a contract lives, and the block it was made in: an indexer starts there."""

    address: str
    block_number: int


@dataclass(frozen=True)
class Deployment:
    """The contracts, the markets' ids by symbol, and whose signatures the development Pyth accepts."""

    chain_id: int
    deployer: str
    token: DeployedContract
    pyth: DeployedContract
    perp: DeployedContract
    markets: dict[str, int]
    guardian_set_index: int
    guardians: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Save it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Deployment:
        """What `write` has saved."""
        saved = json.loads(path.read_text())
        contracts = {name: DeployedContract(**saved[name]) for name in ("token", "pyth", "perp")}
        return cls(**saved | contracts | {"guardians": tuple(saved["guardians"])})
