"""What the chain's routes get from the factory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import current_app

from app.chain.adapters.providers import Providers
from app.chain.types.protocols import Protocol


@dataclass(frozen=True)
class ChainEdge:
    """The deployment's chain, its nodes, each asked once (who waits for an answer asks again by himself), and the
    protocols that are followed.
    """

    chain_id: int
    providers: Providers
    protocols: Mapping[str, Protocol]


def edge() -> ChainEdge:
    """The running app's."""
    found: ChainEdge = current_app.extensions["chain"]
    return found


def address_bytes(address: str) -> bytes:
    """The 20 bytes of an address that a schema or a path has let through."""
    return bytes.fromhex(address[2:])
