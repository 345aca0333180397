"""What the chain's edges hold: providers, protocols and tunables, built once a process from settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from app.chain.adapters import from_settings
from app.chain.adapters.providers import Providers
from app.chain.errors import UnknownContractSet
from app.chain.maths.forks import parse_finality
from app.chain.services.protocols import deployment_values, load_protocol
from app.chain.services.work import Work
from app.chain.types.blocks import Projection
from app.chain.types.indexing import Alarm, IndexOptions, RangeLimits
from app.chain.types.protocols import Protocol

if TYPE_CHECKING:
    from config.settings import ChainSettings

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


def load_protocols(settings: ChainSettings, environment: Mapping[str, str]) -> dict[str, Protocol]:
    """The protocols of the settings' files, by name; placeholders come from the environment, then the deployment.

    Raises InvalidProtocol.
    """
    deployed = deployment_values(Path(settings.deployment_file)) if settings.deployment_file else {}
    loaded = [load_protocol(Path(file), {**deployed, **environment}) for file in settings.protocol_files]
    return {protocol.name: protocol for protocol in loaded}


def chain_parts(settings: ChainSettings, protocols: Mapping[str, Protocol], projections: Projections) -> ChainParts:
    """The parts; raises ValueError for a finality that cannot be read."""
    return ChainParts(from_settings(settings), protocols, index_options(settings), projections)


def index_options(settings: ChainSettings) -> IndexOptions:
    """The indexer's tunables."""
    return IndexOptions(
        finality=parse_finality(settings.finality),
        header_depth=settings.header_depth,
        limits=RangeLimits(max_blocks=settings.max_range_blocks),
        halt_on_deep_fork=settings.halt_on_deep_fork,
    )
