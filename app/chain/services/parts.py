"""What the chain's edges hold: providers, protocols and tunables, built once a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.chain.adapters.providers import Providers
from app.chain.errors import UnknownContractSet
from app.chain.services.protocols import deployment_values, load_protocol
from app.chain.services.work import Work
from app.chain.types.blocks import Projection
from app.chain.types.indexing import Alarm, IndexOptions
from app.chain.types.protocols import Protocol

Projections = Mapping[str, Sequence[Projection]]


@dataclass(frozen=True, slots=True)
class ChainParts:
    """`projections` by protocol: those of every feature, since a reorg rolls all of them back."""

    providers: Providers
    protocols: Mapping[str, Protocol]
    options: IndexOptions
    projections: Projections

    def work(self, name: str, session: Session, *, commit: Callable[[], None], alarm: Callable[[Alarm], None]) -> Work:
        """The indexing of the protocol `name`; raises UnknownContractSet."""
        if name not in self.protocols:
            raise UnknownContractSet(f"No protocol file is named {name}.")
        return Work(
            session=session,
            contracts=self.protocols[name].contract_set,
            commit=commit,
            alarm=alarm,
            options=self.options,
            projections=self.projections,
        )


def load_protocols(
    files: Sequence[str], deployment_file: str | None, environment: Mapping[str, str]
) -> dict[str, Protocol]:
    """The protocols of these files, by name; placeholders come from the environment, then from the deployment's file.

    Raises InvalidProtocol.
    """
    values = placeholder_values(deployment_file, environment)
    loaded = [load_protocol(Path(file), values) for file in files]
    return {protocol.name: protocol for protocol in loaded}


def placeholder_values(deployment_file: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """What fills protocol files' placeholders; raises InvalidProtocol for a deployment's file that is none."""
    return {**(deployment_values(Path(deployment_file)) if deployment_file else {}), **environment}
