"""`/v1/events`: stored events, decoded by the present ABI, a page at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from app.chain.errors import MalformedEvent
from app.chain.maths.event_filter import Wanted, refused, span, wanted_events
from app.chain.queries import children
from app.chain.queries import event_list as queries
from app.chain.services.children import with_those_at
from app.chain.types.blocks import ContractSet
from app.chain.types.event_list import EventFilter, ShownEvent, StoredLog, Walk
from app.chain.types.protocols import Protocol
from app.core.paging import Page, decode_cursor, encode_cursor, page_of

MOST_WALKS = 64
"""Contracts and events that a page walks one by one; of more it walks the chain."""


def list_events(
    session: Session, protocols: Mapping[str, Protocol], asked: EventFilter, *, cursor: str | None, limit: int
) -> Page[ShownEvent]:
    """A page of a protocol's events, by their place in the chain; raises InvalidInput for what cannot be asked.

    Where arguments leave out most of what was looked at, the page is short, or empty; its cursor goes on from there.
    """
    listing = f"chain_events:{'newest' if asked.newest_first else 'oldest'}"
    key = decode_cursor(listing, (int, int), cursor)
    protocol = _protocol(session, protocols, asked)
    addresses = _addresses(session, protocol, asked)
    wanted = wanted_events(protocol, asked, addresses)
    between = span(asked, None if key is None else (key[0], key[1]))
    chain_id = protocol.contract_set.chain_id
    walks = [
        Walk(address, topic0, topics)
        for (name, _, topic0), topics in wanted.items()
        if topic0 is not None
        for address in addresses[name]
    ]
    if len(walks) <= MOST_WALKS and all(topic0 is not None for _, _, topic0 in wanted):
        rows = queries.walk_events(session, chain_id, walks, between, limit=limit + 1)
        contracts = with_those_at(session, protocol.contract_set, (row.log.address for row in rows))
    else:
        walked = queries.walk_blocks(session, chain_id, between)
        contracts = with_those_at(session, protocol.contract_set, (row.log.address for row in walked))
        rows = [_judged(contracts, wanted, row) for row in walked]
    page = _page(rows, listing, limit)
    return Page([_shown(contracts, row) for row in page.items], page.next_cursor)


def _protocol(session: Session, protocols: Mapping[str, Protocol], asked: EventFilter) -> Protocol:
    """The protocol that is named, or the only one that can be meant."""
    if asked.protocol is not None:
        if asked.protocol not in protocols:
            raise refused("protocol", f"Not followed here; there are: {', '.join(sorted(protocols)) or 'none'}.")
        return protocols[asked.protocol]
    meant = [one for one in protocols.values() if asked.contract is None or _named(session, one, asked.contract)]
    if len(meant) == 1:
        return meant[0]
    if not meant and asked.contract is not None:
        raise refused("contract", "No protocol that is followed here has that contract.")
    raise refused("protocol", f"Say which: {', '.join(sorted(one.name for one in meant)) or 'none is followed here'}.")


def _addresses(session: Session, protocol: Protocol, asked: EventFilter) -> dict[str, Sequence[bytes]]:
    """The addresses asked for, by their contracts' names."""
    if asked.contract is None:
        return {name: _all_of(session, protocol, name) for name in protocol.contracts}
    found = _named(session, protocol, asked.contract)
    if not found:
        raise refused("contract", f"{protocol.name} has no such contract; it has {', '.join(protocol.contracts)}.")
    return found


def _all_of(session: Session, protocol: Protocol, name: str) -> Sequence[bytes]:
    """The contract's addresses; of those that a factory made enough to see that they are too many to walk."""
    addresses = protocol.contracts[name].addresses
    if addresses:
        return addresses
    return children.of_contract(session, protocol.contract_set.chain_id, protocol.name, name, MOST_WALKS + 1)


def _named(session: Session, protocol: Protocol, contract: str) -> dict[str, Sequence[bytes]]:
    """The contract of that name, or the one at that address."""
    if contract in protocol.contracts:
        return {contract: _all_of(session, protocol, contract)}
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", contract):
        return {}
    address = bytes.fromhex(contract[2:])
    found: dict[str, Sequence[bytes]] = {
        name: [address] for name, one in protocol.contracts.items() if address in one.addresses
    }
    made = with_those_at(session, protocol.contract_set, [address]).children
    return found or {child.contract: [address] for child in made.values()}


def _judged(contracts: ContractSet, wanted: Wanted, row: StoredLog) -> StoredLog:
    """The row of a whole chain's walk, with whether it is one of those wanted."""
    event = contracts.find(row.log)
    topics = None
    if event is not None:
        topics = wanted.get((event.contract, event.name, None if event.is_anonymous else row.log.topics[0]))
    if topics is None:
        return row._replace(matches=False)
    asked = zip(topics, row.log.topics[1:], strict=False)
    return row._replace(matches=all(topic is None or topic == found for topic, found in asked))


def _page(rows: Sequence[StoredLog], listing: str, limit: int) -> Page[StoredLog]:
    """Below the first place where a walk stopped, the others' rows may not be all there are."""
    last = next((place for place, row in enumerate(rows) if row.is_last), None)
    found = [row for row in (rows if last is None else rows[: last + 1]) if row.matches]
    if last is not None and len(found) <= limit:
        return Page(found, encode_cursor(listing, rows[last].place))
    return page_of(found, limit=limit, listing=listing, key=lambda row: row.place)


def _shown(contracts: ContractSet, row: StoredLog) -> ShownEvent:
    event, args, problem = contracts.find(row.log), None, None
    if event is None:
        raise LookupError("an event of no contract was found by its contract")
    try:
        args = event.decode(row.log)
    except MalformedEvent as error:
        problem = error.detail
    return ShownEvent(
        protocol=contracts.name,
        chain_id=contracts.chain_id,
        contract=event.contract,
        event=event.name,
        log=row.log,
        mined_at=row.mined_at,
        args=args,
        decode_error=problem,
    )
