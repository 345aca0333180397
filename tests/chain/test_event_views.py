"""Views of decoded events on a real database: the values that eth-abi reads, and always those of the present file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from app.chain.errors import ViewInUse
from app.chain.maths.abi import compile_event
from app.chain.queries import event_views
from app.chain.queries.events import insert_events
from app.chain.services.event_views import apply_views
from app.chain.services.protocols import load_protocol
from app.chain.types.blocks import Log
from app.chain.types.protocols import Protocol
from tests.chain.test_abi import DYNAMIC, STATIC, entry, values_of

CHAIN_ID, ADDRESS, OTHER = 5, b"\x11" * 20, b"\x22" * 20
EMITTED_BY = event_views.emitted_by(CHAIN_ID, "x", [ADDRESS], [])
TRANSFER = {
    "type": "event",
    "name": "Transfer",
    "inputs": [
        {"name": "from", "type": "address", "indexed": True},
        {"name": "tokenValue", "type": "int256"},
        {"name": "address", "type": "address"},
    ],
}


def store(session: Session, topics: Sequence[bytes], data: bytes, *, index: int = 0, error: str | None = None) -> None:
    """A row of chain_events."""
    log = Log(1, bytes(32), index, bytes(32), 0, ADDRESS, tuple(topics), data)
    insert_events(session, CHAIN_ID, [log], {1: 1_000_000_000}, {} if error is None else {0: error})


def protocol(folder: Path, *events: dict[str, Any], name: str = "x", other: Sequence[dict[str, Any]] = ()) -> Protocol:
    """A protocol of one contract with these events, and of a second one where it has some."""
    (folder / "one.json").write_text(json.dumps(events))
    written = f'chain_id = {CHAIN_ID}\n[contracts.one]\naddress = "0x{ADDRESS.hex()}"\nabi = "one.json"\n'
    if other:
        (folder / "two.json").write_text(json.dumps(other))
        written += f'[contracts.two]\naddress = "0x{OTHER.hex()}"\nabi = "two.json"\n'
    (folder / f"{name}.toml").write_text(written)
    return load_protocol(folder / f"{name}.toml", {})


def rows(session: Session, view: str) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(text(f"SELECT * FROM {view}")).mappings()]  # noqa: S608


def seen(type_: str, value: Any) -> Any:
    """A value as the view shows it."""
    if isinstance(value, str):
        return None if "\x00" in value else value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return value


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_type_reads_as_eth_abi_reads_it(session: Session, data: st.DataObject) -> None:
    types = data.draw(st.lists(st.sampled_from(STATIC + DYNAMIC), min_size=1, max_size=6))
    indexed = data.draw(st.integers(0, min(3, len(types))))
    types[:indexed] = [type_ if type_ in STATIC else "bytes32" for type_ in types[:indexed]]
    values = [data.draw(values_of(type_)) for type_ in types]
    event = compile_event(entry(types, indexed))
    topics = [encode([type_], [value]) for type_, value in zip(types[:indexed], values[:indexed], strict=True)]
    session.rollback()
    store(session, [event.topic, *topics], encode(types[indexed:], values[indexed:]))
    event_views.create(session, "ev_x", event_views.definition(CHAIN_ID, event, EMITTED_BY), "a view")
    (row,) = rows(session, "ev_x")
    for place, (type_, value) in enumerate(zip(types, values, strict=True)):
        shown = bytes(row[f"v{place}"]) if isinstance(row[f"v{place}"], memoryview) else row[f"v{place}"]
        if type_ in STATIC or type_ in ("string", "bytes"):
            assert shown == seen(type_, value), type_
        elif type_ in ("bytes32[3]", "(address,int16)[2]"):
            assert shown == encode([type_], [value]), type_  # the words, as they are
        else:
            assert shown.startswith(encode([type_], [value])[32:]), type_  # the tail, to the data's end


@pytest.mark.parametrize("data", [b"", b"\xff" * 32, b"\x20", bytes(31) + b"\x20" + b"\xff" * 32, b"\xff" * 64])
def test_no_bytes_make_a_view_fail(session: Session, data: bytes) -> None:
    event = compile_event(entry(["string", "bytes", "uint8[]", "bool", "int8"]))
    store(session, [event.topic], data)
    shown = event_views.definition(CHAIN_ID, event, EMITTED_BY)
    looser = shown[: shown.index(" WHERE ")]
    for row in session.execute(text(looser)).mappings():
        assert (row["v0"], row["v1"]) == (None, None)
    assert session.execute(text(shown)).all() == []


def test_names_of_the_abi_are_found_without_quotes(session: Session, tmp_path: Path) -> None:
    found = protocol(tmp_path, TRANSFER)
    assert apply_views(session, found).made == ["ev_x_transfer"]
    (event,) = found.contracts["one"].events
    store(session, [event.topic, bytes(12) + OTHER], encode(["int256", "address"], [-3, "0x" + "33" * 20]))
    row = session.execute(text('SELECT "from", tokenValue, address, address_2, block_number FROM ev_x_Transfer')).one()
    assert [bytes(value) if isinstance(value, memoryview) else value for value in row] == [
        OTHER,
        Decimal(-3),
        ADDRESS,
        b"\x33" * 20,
        1,
    ]


def test_applying_again_changes_nothing_and_a_changed_abi_replaces(session: Session, tmp_path: Path) -> None:
    closed = {"type": "event", "name": "Closed", "inputs": []}
    apply_views(session, protocol(tmp_path, TRANSFER, closed))
    again = apply_views(session, protocol(tmp_path, TRANSFER, closed))
    assert (again.unchanged, again.made, again.replaced) == (["ev_x_closed", "ev_x_transfer"], [], [])
    mended = {**TRANSFER, "inputs": [*TRANSFER["inputs"][:2], {"name": "to", "type": "address", "indexed": True}]}
    done = apply_views(session, protocol(tmp_path, mended))
    assert (done.replaced, done.dropped, done.made) == (["ev_x_transfer"], ["ev_x_closed"], [])
    # What was stored under the wrong ABI, and marked so, reads under the mended one.
    (event,) = protocol(tmp_path, mended).contracts["one"].events
    store(session, [event.topic, bytes(32), bytes(12) + OTHER], encode(["int256"], [7]), error="did not fit")
    (row,) = rows(session, "ev_x_transfer")
    assert (bytes(row["to"]), row["tokenvalue"], row["decode_error"]) == (OTHER, 7, "did not fit")


def test_contracts_share_a_view_only_where_they_are_alike(session: Session, tmp_path: Path) -> None:
    assert apply_views(session, protocol(tmp_path, TRANSFER, other=[TRANSFER])).made == ["ev_x_transfer"]
    different = {**TRANSFER, "inputs": TRANSFER["inputs"][:1]}
    overloads = [different, TRANSFER]
    done = apply_views(session, protocol(tmp_path, TRANSFER, other=overloads))
    topic = compile_event(different).topic.hex()[:8]
    assert done.dropped == ["ev_x_transfer"]
    assert done.made == ["ev_x_one_transfer", "ev_x_two_transfer", f"ev_x_two_transfer_{topic}"]


def test_what_is_not_ours_stays(session: Session, tmp_path: Path) -> None:
    session.execute(text("CREATE VIEW ev_x_transfer AS SELECT 1 AS mine"))
    session.commit()
    with pytest.raises(ViewInUse, match="ev_x_transfer is there already and is not a view of x"):
        apply_views(session, protocol(tmp_path, TRANSFER))
    assert rows(session, "ev_x_transfer") == [{"mine": 1}]


def test_a_view_that_others_are_built_on_is_not_dropped(session: Session, tmp_path: Path) -> None:
    apply_views(session, protocol(tmp_path, TRANSFER))
    session.execute(text("CREATE VIEW report AS SELECT tokenvalue FROM ev_x_transfer"))
    session.commit()
    with pytest.raises(ViewInUse, match="ev_x_transfer cannot be replaced: cannot drop view ev_x_transfer because"):
        apply_views(session, protocol(tmp_path, {**TRANSFER, "inputs": TRANSFER["inputs"][:2]}))
    session.rollback()
    assert rows(session, "report") == []


def test_a_protocol_leaves_another_one_s_views_alone(session: Session, tmp_path: Path) -> None:
    apply_views(session, protocol(tmp_path, TRANSFER, name="x_y"))
    apply_views(session, protocol(tmp_path, TRANSFER, name="x"))
    assert apply_views(session, protocol(tmp_path, {**TRANSFER, "name": "Moved"}, name="x")).dropped == [
        "ev_x_transfer"
    ]
    assert rows(session, "ev_x_y_transfer") == []
    with pytest.raises(ProgrammingError):
        rows(session, "ev_x_transfer")
