"""A protocol as its file describes it: which contracts, which of their events, and what each feature is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.chain.types.abi import EventAbi
from app.chain.types.blocks import ContractSet


@dataclass(frozen=True, slots=True)
class ProtocolContract:
    """A contract of the file: where it lives (usually one address; none when a factory makes it), its whole ABI, and
    the events that are wanted.
    """

    addresses: tuple[bytes, ...]
    abi: Sequence[Mapping[str, Any]]
    events: tuple[EventAbi, ...]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One file of `config/protocols/`, checked and filled in.

    `contract_set` is what the indexer reads, under the protocol's own name. `sections` are the tables meant for a
    feature (`perps`), as they stand in the file, placeholders filled in: that feature checks them.
    """

    name: str
    contracts: Mapping[str, ProtocolContract]
    contract_set: ContractSet
    sections: Mapping[str, Mapping[str, Any]]
