"""Statements on contracts that factories made."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.blocks import Child

# A child that is known from an earlier block stays so; one found again in an earlier block is from there.
ADD = text(
    """
    INSERT INTO chain_children (chain_id, protocol, address, contract, block_number)
    SELECT :chain_id, :protocol, address, contract, block_number
    FROM unnest(CAST(:addresses AS bytea[]), CAST(:contracts AS text[]), CAST(:blocks AS bigint[]))
         AS new (address, contract, block_number)
    ON CONFLICT (chain_id, protocol, address) DO UPDATE
    SET block_number = least(chain_children.block_number, excluded.block_number)
    """
)

# By primary key: O(the protocol's children).
KNOWN = text(
    """
    SELECT address, contract, block_number FROM chain_children
    WHERE chain_id = :chain_id AND protocol = :protocol AND block_number <= :last_block
    """
)

AT = text(
    """
    SELECT address, contract, block_number FROM chain_children
    WHERE chain_id = :chain_id AND protocol = :protocol AND address = ANY(:addresses)
    """
)

OF = text(
    """
    SELECT address, contract, block_number FROM chain_children
    WHERE chain_id = :chain_id AND protocol = :protocol AND contract = :contract LIMIT :limit
    """
)

COUNT = text(
    """
    SELECT count(*) FROM chain_children
    WHERE chain_id = :chain_id AND protocol = :protocol AND block_number <= :last_block
    """
)

# By block: O(children undone).
DROP = text("DELETE FROM chain_children WHERE chain_id = :chain_id AND block_number >= :from_block")


def add(session: Session, chain_id: int, protocol: str, children: Mapping[bytes, Child]) -> None:
    """Note that these contracts were made."""
    if not children:
        return
    values = {
        "chain_id": chain_id,
        "protocol": protocol,
        "addresses": list(children),
        "contracts": [child.contract for child in children.values()],
        "blocks": [child.block_number for child in children.values()],
    }
    session.execute(ADD, values)


def known(session: Session, chain_id: int, protocol: str, last_block: int) -> dict[bytes, Child]:
    """The contracts made up to `last_block`, by address."""
    rows = session.execute(KNOWN, {"chain_id": chain_id, "protocol": protocol, "last_block": last_block})
    return {bytes(row.address): Child(row.contract, row.block_number) for row in rows}


def at(session: Session, chain_id: int, protocol: str, addresses: Collection[bytes]) -> dict[bytes, Child]:
    """Those of these addresses that are contracts a factory made."""
    rows = session.execute(AT, {"chain_id": chain_id, "protocol": protocol, "addresses": list(addresses)})
    return {bytes(row.address): Child(row.contract, row.block_number) for row in rows}


def of_contract(session: Session, chain_id: int, protocol: str, contract: str, limit: int) -> list[bytes]:
    """At most `limit` of the contracts that go by one name in the file."""
    values = {"chain_id": chain_id, "protocol": protocol, "contract": contract, "limit": limit}
    return [bytes(row.address) for row in session.execute(OF, values)]


def count(session: Session, chain_id: int, protocol: str, last_block: int) -> int:
    """How many contracts were made up to `last_block`. O(the protocol's children)."""
    found: int = session.execute(
        COUNT, {"chain_id": chain_id, "protocol": protocol, "last_block": last_block}
    ).scalar_one()
    return found


def drop(session: Session, chain_id: int, from_block: int) -> None:
    """Forget the contracts made from `from_block` on."""
    session.execute(DROP, {"chain_id": chain_id, "from_block": from_block})
