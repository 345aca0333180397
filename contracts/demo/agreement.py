"""The judge: the contract's own views against the database, both at one block, to the last digit."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.demo.chain_facts import Facts, chain_facts
from contracts.demo.database import Database
from contracts.demo.database_facts import database_facts
from contracts.traders import Exchange


class NothingToCompare(RuntimeError):
    """The indexer has read no block, or one that is not in the chain any more."""


@dataclass(frozen=True)
class Difference:
    """A value on which they differ; None where one of them does not know it."""

    what: str
    chain: int | str | None
    database: int | str | None

    def __str__(self) -> str:
        return f"{self.what}: the contract says {self.chain}, the database {self.database}"


@dataclass(frozen=True)
class Agreement:
    """The block both were read at, how many values were compared, and those that differ."""

    block_number: int
    block_hash: str
    values: int
    differences: tuple[Difference, ...]


def compare(exchange: Exchange, database: Database) -> Agreement:
    """Read the tables at one moment, and the contract at the very block that the indexer had reached then.

    Raises NothingToCompare, and whatever the node or the database raises when they cannot be read.
    """
    snapshot = database.find_snapshot()
    if snapshot is None:
        raise NothingToCompare("the indexer has not read a block yet")
    block = exchange.node.call("eth_getBlockByNumber", hex(snapshot.block_number), False)
    if block is None or block["hash"] != snapshot.block_hash:
        raise NothingToCompare(f"block {snapshot.block_number} ({snapshot.block_hash}) is not in the chain")
    chain = chain_facts(exchange, block_number=snapshot.block_number, block_hash=snapshot.block_hash)
    stored = database_facts(snapshot)
    return Agreement(
        block_number=snapshot.block_number,
        block_hash=snapshot.block_hash,
        values=len(chain.keys() | stored.keys()),
        differences=tuple(differences(chain, stored)),
    )


def differences(chain: Facts, stored: Facts) -> list[Difference]:
    """Every name whose values differ, or that only one of them has."""
    names = sorted(chain.keys() | stored.keys())
    return [
        Difference(name, chain.get(name), stored.get(name)) for name in names if chain.get(name) != stored.get(name)
    ]
