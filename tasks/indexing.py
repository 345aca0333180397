"""What `manage.py index` works with: a protocol file, a database and a node. Nothing else is loaded: it starts soon."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine

from app.chain.adapters import from_settings, index_options
from app.chain.adapters.providers import Providers
from app.chain.services.parts import load_protocols
from app.chain.types.blocks import ContractSet, Projection
from app.chain.types.indexing import IndexOptions
from app.chain.types.protocols import Protocol
from app.core.db import has_tables, make_engine
from app.core.failpoints import arm
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Indexing:
    """One protocol to index."""

    engine: Engine
    providers: Providers
    contracts: ContractSet
    options: IndexOptions
    projections: Mapping[str, Sequence[Projection]]


def indexing(read: Settings, file: str, rpc_url: str | None) -> Indexing:
    """The means to follow the protocol file on the chain that it names; an empty database gets its tables first."""
    arm(**read.failpoint.model_dump())
    url = read.database_url.get_secret_value()
    engine = make_engine(url)
    if not has_tables(engine):
        import_module("migrations").upgrade(url)  # Alembic takes longer to load than a range to read
    protocol = load_protocols([file], read.chain.deployment_file, os.environ)[Path(file).stem]
    nodes = {"rpc_urls": (SecretStr(rpc_url),)} if rpc_url else {}
    chain = read.chain.model_copy(update={"chain_id": protocol.contract_set.chain_id, **nodes})
    return Indexing(
        engine=engine,
        providers=from_settings(chain),
        contracts=protocol.contract_set,
        options=index_options(chain),
        projections=_projections(protocol),
    )


def _projections(protocol: Protocol) -> Mapping[str, Sequence[Projection]]:
    """Those that the protocol's events feed, and with them their features, which the others do without."""
    if "perps" not in protocol.sections:
        return {}
    projection = import_module("app.perps.services.projection").PerpsProjection
    found = import_module("app.perps.services.protocols").perps_protocols([protocol])
    return {protocol.name: [projection(one) for one in found]}
