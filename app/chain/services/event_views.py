"""Views of a protocol's events, `ev_<protocol>_<event>`: made to fit its file, replaced when its ABI changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.exc import InternalError, ProgrammingError
from sqlalchemy.orm import Session

from app.chain.errors import ViewInUse
from app.chain.queries import event_views
from app.chain.types.abi import EventAbi
from app.chain.types.protocols import Protocol


@dataclass(slots=True)
class AppliedViews:
    """What `apply_views` did, by the views' names."""

    made: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


def apply_views(session: Session, protocol: Protocol) -> AppliedViews:
    """Bring the protocol's views up to its file; again changes nothing.

    Raises ViewInUse, and changes nothing, when a name is taken by what is not this protocol's, or a view that has to go
    has others built on it.
    """
    found = event_views.existing(session)
    wanted = definitions(protocol)
    mark = f"Watchkeeper: {protocol.name} "
    comments = {name: mark + hashlib.sha256(text.encode()).hexdigest() for name, text in wanted.items()}
    own = {name: comment for name, comment in found.items() if comment and comment.startswith(mark)}
    done = AppliedViews()
    for name in sorted(wanted.keys() & found.keys() - own.keys()):
        raise ViewInUse(f"{name} is there already and is not a view of {protocol.name}; rename or drop it.")
    for name in sorted(own.keys() | wanted.keys()):
        if name in wanted and own.get(name) == comments[name]:
            done.unchanged.append(name)
            continue
        (done.made if name not in own else done.replaced if name in wanted else done.dropped).append(name)
        if name in own:
            _drop(session, name)
        if name in wanted:
            event_views.create(session, name, wanted[name], comments[name])
    return done


def definitions(protocol: Protocol) -> dict[str, str]:
    """The views' SELECTs by name.

    An event that several contracts have alike is one view. Where events of the same name differ, each contract's view
    also has the contract's name, and overloads of one contract the beginning of their topic.
    """
    alike: dict[str, dict[object, list[tuple[str, EventAbi]]]] = {}
    for contract, found in protocol.contracts.items():
        for event in found.events:
            shapes = alike.setdefault(event_views.folded(event.name), {})
            shapes.setdefault((event.signature, event.arguments), []).append((contract, event))
    wanted: dict[str, str] = {}
    for event_name, shapes in alike.items():
        shared = len(shapes) == 1
        views = shapes.values() if shared else [[member] for members in shapes.values() for member in members]
        for members in views:
            contract, event = members[0]
            parts = [event_name] if shared else [contract, event_name]
            wanted[_name(protocol.name, parts, event, wanted)] = _definition(
                protocol, event, [one for one, _ in members]
            )
    return wanted


def _definition(protocol: Protocol, event: EventAbi, contracts: list[str]) -> str:
    """A child counts from the block it was made in, and so has no rows before."""
    chain_id, anonymous = protocol.contract_set.chain_id, protocol.contract_set.anonymous
    addresses = [address for name in contracts for address in protocol.contracts[name].addresses]
    made = [name for name in contracts if not protocol.contracts[name].addresses]
    named = {topic for address in addresses if address in anonymous for topic in anonymous[address].named_topics}
    emitted_by = event_views.emitted_by(chain_id, protocol.name, addresses, made)
    return event_views.definition(chain_id, event, emitted_by, sorted(named) if event.topic is None else ())


def _name(protocol: str, parts: list[str], event: EventAbi, taken: Mapping[str, str]) -> str:
    """At most what Postgres keeps of a name; the topic's beginning tells apart what would be alike."""
    name = "_".join(["ev", protocol, *(event_views.folded(part) for part in parts)])
    if len(name) <= event_views.NAME_BYTES and name not in taken:
        return name
    told_apart = hashlib.sha256(event.signature.encode()).digest() if event.topic is None else event.topic
    return f"{name[: event_views.NAME_BYTES - 9]}_{told_apart.hex()[:8]}"


def _drop(session: Session, name: str) -> None:
    try:
        event_views.drop(session, name)
    except (InternalError, ProgrammingError) as error:
        raise ViewInUse(f"{name} cannot be replaced: {str(error.orig).strip().splitlines()[0]}.") from error
