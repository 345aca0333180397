"""Folding events into positions: forward where they continue what is there, from the beginning where they do not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.chain.services.stored_events import read_events
from app.perps.maths.fold import folded
from app.perps.queries import folded_events, funding, liquidations, pnl, positions
from app.perps.queries.folded_events import Entity
from app.perps.services.reading import read_changes
from app.perps.services.telling import tell_positions
from app.perps.types.changes import Indexes, PositionChange
from app.perps.types.positions import Folded, Position, Side
from app.perps.types.protocol import PerpsProtocol

UNSETTLED = Indexes(0, 0)
# What a fold has added to a market's open interest, by market and side.
Moves = dict[tuple[str, Side], int]


def fold_positions(session: Session, protocol: PerpsProtocol, changes: Sequence[PositionChange]) -> Moves:
    """Fold in `changes`, in whatever order they come: one known already changes nothing, and one that comes late has
    its position folded again. O(changes), and O(its events) for a late one's position.
    """
    new = folded_events.add(session, protocol.name, Entity.POSITION, [(one.key, one.place) for one in changes])
    fresh: dict[str, list[PositionChange]] = {}
    for change in sorted(_with_indexes(session, protocol, changes), key=lambda change: change.place):
        identity = (change.key, change.place.block_number, change.place.log_index)
        if identity in new:
            new.remove(identity)
            fresh.setdefault(change.key, []).append(change)
    if not fresh:
        return {}
    before = positions.positions_by_key(session, protocol.name, fresh)
    late = _late(session, protocol, fresh, before)
    folds = {key: folded(protocol.name, before.get(key), fresh[key]) for key in fresh if key not in late}
    return _record(session, protocol, before, folds | _from_the_beginning(session, protocol, late), again=late)


def fold_again(session: Session, protocol: PerpsProtocol, keys: Collection[str]) -> Moves:
    """Fold these positions from the events that are left of them; one that was never opened after all is deleted."""
    if not keys:
        return {}
    before = positions.positions_by_key(session, protocol.name, keys)
    return _record(session, protocol, before, _from_the_beginning(session, protocol, keys), again=keys)


def _late(
    session: Session,
    protocol: PerpsProtocol,
    fresh: Mapping[str, Sequence[PositionChange]],
    before: Mapping[str, Position],
) -> set[str]:
    """The positions that their new events do not simply continue."""
    late = {key for key, position in before.items() if fresh[key][0].place < position.last}
    unknown = fresh.keys() - before.keys()
    if unknown:
        known = folded_events.places_of(session, protocol.name, Entity.POSITION, unknown)
        late |= {key for key in unknown if len(known.get(key, ())) > len(fresh[key])}
    return late


def _from_the_beginning(session: Session, protocol: PerpsProtocol, keys: Collection[str]) -> dict[str, Folded]:
    if not keys:
        return {}
    places = folded_events.places_of(session, protocol.name, Entity.POSITION, keys)
    events = read_events(session, protocol.contract_set, (place for found in places.values() for place in found))
    by_key: dict[str, list[PositionChange]] = {key: [] for key in keys}
    for change in _with_indexes(session, protocol, read_changes(protocol, events).positions):
        by_key[change.key].append(change)
    return {key: folded(protocol.name, None, changes) for key, changes in by_key.items()}


def _with_indexes(
    session: Session, protocol: PerpsProtocol, changes: Sequence[PositionChange]
) -> Sequence[PositionChange]:
    """Where we settle funding ourselves, the changes with their market's indexes then: none before its first slot."""
    if not protocol.section.is_computed:
        return changes
    moments = {(one.market_id, one.place.mined_at) for one in changes}
    found = funding.indexes_at(session, protocol.name, moments)
    return [replace(one, indexes=found.get((one.market_id, one.place.mined_at), UNSETTLED)) for one in changes]


def _record(
    session: Session,
    protocol: PerpsProtocol,
    before: Mapping[str, Position],
    folds: Mapping[str, Folded],
    *,
    again: Collection[str],
) -> Moves:
    positions.write(session, [fold.position for fold in folds.values() if fold.position is not None])
    positions.remove(session, protocol.name, [key for key in before if folds[key].position is None])
    taken_back = liquidations.remove_of(session, protocol.name, again)
    liquidations.add(session, [one for fold in folds.values() for one in fold.liquidations])
    entries = [one for fold in folds.values() for one in fold.entries]
    touched = pnl.remove_of(session, protocol.name, again)
    pnl.add(session, protocol.name, entries)
    touched += [(one.owner, (one.place.block_number, one.place.log_index)) for one in entries]
    pnl.run(session, protocol.name, touched, cross=protocol.section.is_cross)
    tell_positions(session, before, folds, taken_back)
    moves: Moves = {}
    _add(moves, before.values(), -1)
    _add(moves, (fold.position for fold in folds.values()), 1)
    return {place: moved for place, moved in moves.items() if moved}


def _add(moves: Moves, found: Iterable[Position | None], sign: int) -> None:
    for position in found:
        if position is not None:
            place = (position.market_id, position.side)
            moves[place] = moves.get(place, 0) + sign * position.open_size_wad
