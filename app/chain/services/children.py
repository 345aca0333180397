"""Contracts that factories made: a contract set with those of them that are known."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from app.chain.queries import children
from app.chain.types.blocks import ContractSet


def with_known(session: Session, contracts: ContractSet, last_block: int) -> ContractSet:
    """The set with every contract made up to `last_block`."""
    if not contracts.factories:
        return contracts
    return contracts.with_children(children.known(session, contracts.chain_id, protocol_of(contracts), last_block))


def with_those_at(session: Session, contracts: ContractSet, addresses: Iterable[bytes]) -> ContractSet:
    """The set with those of these addresses that its factories made."""
    asked = set(addresses)
    if not contracts.factories or not asked:
        return contracts
    return contracts.with_children(children.at(session, contracts.chain_id, protocol_of(contracts), asked))


def protocol_of(contracts: ContractSet) -> str:
    """The protocol's name, which a range of it has too (`name@first-last`): they share what they find."""
    return contracts.name.partition("@")[0]
