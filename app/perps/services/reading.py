"""Events of a protocol in our own words."""

from __future__ import annotations

from collections.abc import Iterable

from app.chain.types.blocks import Event
from app.perps.maths.reading import read_into
from app.perps.types.changes import Changes
from app.perps.types.positions import Place
from app.perps.types.protocol import PerpsProtocol


def read_changes(protocol: PerpsProtocol, events: Iterable[Event]) -> Changes:
    """What the events say, by the protocol's file; those it does not name mean nothing. Raises UnreadableEvent."""
    changes = Changes()
    for event in events:
        rule = protocol.rule_of(event.contract, event.name)
        if rule is not None:
            log = event.log
            place = Place(log.block_number, log.log_index, log.block_hash, log.transaction_hash, event.mined_at)
            read_into(changes, protocol.section, rule, event.args, place)
    return changes
