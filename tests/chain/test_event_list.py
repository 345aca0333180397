"""`GET /v1/events`: filters, order, pages, decoded arguments, and that an index is walked whatever is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.event import listens_for
from sqlalchemy.orm import Session

from app.chain.maths.abi import compile_event
from app.chain.queries import event_list
from app.chain.queries.events import insert_events
from app.chain.services import event_list as service
from app.chain.types.blocks import Log
from app.chain.types.event_list import BLOCK_MAX, Span, Walk
from app.core.errors import Unauthenticated
from app.core.http.principal import Credentials, Principal
from config.groups import ChainSettings
from config.settings import Settings

CHAIN_ID = 31339
ONE, TWO, STRANGER = b"\x11" * 20, b"\x22" * 20, b"\x33" * 20
ANN, BOB = "0x" + "aa" * 20, "0x" + "bb" * 20


def argument(name: str, type_: str, indexed: bool = False, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "indexed": indexed, **more}


MOVED = {
    "type": "event",
    "name": "Moved",
    "inputs": [
        argument("trader", "address", True),
        argument("kind", "int8", True),
        argument("note", "string", True),
        argument("amount", "int256"),
        argument("flag", "bool"),
        argument("parts", "tuple[]", components=[argument("id", "uint8"), argument("key", "bytes2")]),
    ],
}
CLOSED = {"type": "event", "name": "Closed", "inputs": [argument("trader", "address")]}
WHO = Principal(id="user:reader", scopes=frozenset({"chain:read"}), method="session")
Get = Callable[..., Any]


def authenticate(credentials: Credentials) -> Principal:
    """One reader."""
    if credentials.bearer != "reader":
        raise Unauthenticated()
    return WHO


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """A protocol of two contracts, and one of another."""
    (tmp_path / "abi.json").write_text(json.dumps([MOVED, CLOSED]))
    two = f'[contracts.two]\naddress = "0x{TWO.hex()}"\nabi = "abi.json"\nevents = ["Closed"]\n'
    for name, address, more in (("desk", ONE, two), ("other", STRANGER, "")):
        (tmp_path / f"{name}.toml").write_text(
            f'chain_id = {CHAIN_ID}\n[contracts.{name}]\naddress = "0x{address.hex()}"\nabi = "abi.json"\n{more}'
        )
    return str(tmp_path / "desk.toml"), str(tmp_path / "other.toml")


@pytest.fixture
def get(settings: Settings, files: tuple[str, ...], make_app: Callable[..., Flask]) -> Get:
    """A GET of events."""
    followed = settings.model_copy(update={"chain": ChainSettings(protocol_files=files)})
    client = make_app(followed, authenticate=authenticate).test_client()

    def _get(**query: Any) -> Any:
        named = {name.replace("arg_", "arg.").replace("__", "_"): value for name, value in query.items()}
        return client.get("/v1/events", query_string=named, headers={"Authorization": "Bearer reader"})

    return _get


def moved(trader: str = ANN, kind: int = 1, note: str = "a", amount: int = 5) -> tuple[tuple[bytes, ...], bytes]:
    """Topics and data."""
    topics = (encode(["address"], [trader]), encode(["int8"], [kind]), keccak(text=note))
    data = encode(["int256", "bool", "(uint8,bytes2)[]"], [amount, True, [(7, b"\x01\x02")]])
    return (compile_event(MOVED).topic, *topics), data


def closed(trader: str = ANN) -> tuple[tuple[bytes, ...], bytes]:
    return (compile_event(CLOSED).topic,), encode(["address"], [trader])


Said = tuple[int, bytes, tuple[tuple[bytes, ...], bytes]]


def store(session: Session, *said: Said) -> None:
    """Events: block, address, topics and data; their place in the list is their log index."""
    logs = [
        Log(block, block.to_bytes(32, "big"), place, bytes(32), 0, address, topics, data)
        for place, (block, address, (topics, data)) in enumerate(said)
    ]
    insert_events(session, CHAIN_ID, logs, {block: 1_000_000_000 + block for block, _, _ in said}, {})
    session.commit()


def places(answer: Any) -> list[int]:
    """The log indexes of an answer."""
    assert answer.status_code == 200, answer.json
    return [event["log_index"] for event in answer.json["data"]]


def problem(answer: Any) -> tuple[int, str, str]:
    (error,) = answer.json["errors"]
    return answer.status_code, error["pointer"], error["detail"]


def test_an_event_is_shown_raw_and_decoded(session: Session, get: Get) -> None:
    topics, data = moved(amount=-(2**255))
    store(session, (7, ONE, (topics, data)))
    (event,) = get(protocol="desk").json["data"]
    assert event == {
        "protocol": "desk",
        "chain_id": CHAIN_ID,
        "contract": "desk",
        "event": "Moved",
        "address": "0x" + ONE.hex(),
        "block_number": 7,
        "block_hash": "0x" + (7).to_bytes(32, "big").hex(),
        "mined_at": "2001-09-09T01:46:47Z",
        "transaction_hash": "0x" + "00" * 32,
        "transaction_index": 0,
        "log_index": 0,
        "args": {
            "trader": ANN,
            "kind": "1",
            "note": "0x" + keccak(text="a").hex(),
            "amount": str(-(2**255)),
            "flag": True,
            "parts": [["7", "0x0102"]],
        },
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + data.hex(),
        "decode_error": None,
    }


def test_what_does_not_fit_its_abi_is_shown_raw(session: Session, get: Get) -> None:
    store(session, (7, ONE, (closed()[0], b"\xff" * 32)), (7, TWO, closed(BOB)))
    newest, oldest = get(protocol="desk").json["data"]
    assert (newest["args"], newest["decode_error"]) == ({"trader": BOB}, None)
    assert (oldest["args"], oldest["data"]) == (None, "0x" + "ff" * 32)
    assert oldest["decode_error"].startswith("Closed: trader does not fit the ABI")


@pytest.fixture
def some(session: Session) -> None:
    """Seven events of the desk, in three blocks, and one of a stranger."""
    store(
        session,
        (5, ONE, moved()),
        (5, TWO, closed()),
        (6, ONE, moved(BOB)),
        (6, STRANGER, moved()),
        (6, ONE, closed()),
        (8, ONE, moved(ANN, -3)),
        (8, ONE, moved(ANN, -3, "b")),
        (8, TWO, moved()),  # not an event that the file wants of this contract
    )


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [6, 5, 4, 2, 1, 0]),
        ({"order": "oldest"}, [0, 1, 2, 4, 5, 6]),
        ({"event": "Moved"}, [6, 5, 2, 0]),
        ({"event": "Closed"}, [4, 1]),
        ({"contract": "two"}, [1]),
        ({"contract": "0x" + TWO.hex()}, [1]),
        ({"from_block": 6}, [6, 5, 4, 2]),
        ({"to_block": 5}, [1, 0]),
        ({"from_block": 6, "to_block": 6}, [4, 2]),
        ({"event": "Moved", "arg_trader": ANN}, [6, 5, 0]),
        ({"event": "Moved", "arg_trader": ANN.upper().replace("X", "x"), "arg_kind": "-3"}, [6, 5]),
        ({"event": "Moved", "arg_trader": ANN, "arg_kind": "-3", "arg_note": "b"}, [6]),
        ({"event": "Moved", "arg_note": "0x" + keccak(text="b").hex()}, [6]),
        ({"event": "Moved", "arg_kind": "2"}, []),
    ],
)
@pytest.mark.parametrize("walks", [64, 0])
def test_filters(
    get: Get, monkeypatch: pytest.MonkeyPatch, walks: int, query: dict[str, Any], found: list[int]
) -> None:
    """By walks of the index by event, and by a walk of the chain."""
    monkeypatch.setattr(service, "MOST_WALKS", walks)
    assert places(get(protocol="desk", **query)) == found


@pytest.mark.usefixtures("some")
def test_the_protocol_is_derived_where_one_can_be_meant(get: Get) -> None:
    assert places(get(contract="other")) == [3]
    assert places(get(contract="0x" + STRANGER.hex())) == [3]
    assert problem(get()) == (422, "?protocol", "Say which: desk, other.")
    assert problem(get(contract="nobody")) == (422, "?contract", "No protocol that is followed here has that contract.")


@pytest.mark.parametrize(
    ("query", "pointer", "detail"),
    [
        ({"protocol": "nobody"}, "?protocol", "Not followed here; there are: desk, other."),
        ({"contract": "0x" + STRANGER.hex()}, "?contract", "desk has no such contract; it has desk, two."),
        ({"event": "Opened"}, "?event", "There is no event Opened; there are Closed, Moved."),
        ({"contract": "two", "event": "Moved"}, "?event", "There is no event Moved; there are Closed."),
        ({"arg_trader": ANN}, "?event", "An argument can be asked for of one event only: name it."),
        ({"event": "Moved", "arg_who": ANN}, "?arg.who", "no such argument; indexed are kind, note, trader."),
        ({"event": "Moved", "arg_amount": "5"}, "?arg.amount", "This argument is not indexed, so it cannot be asked"),
        ({"event": "Closed", "arg_trader": ANN}, "?arg.trader", "This argument is not indexed"),
        ({"event": "Moved", "arg_trader": "0x12"}, "?arg.trader", "Not a value of address."),
        ({"event": "Moved", "arg_kind": "128"}, "?arg.kind", "Not a value of int8."),
        ({"event": "Moved", "arg_kind": "1.0"}, "?arg.kind", "Not a value of int8."),
        ({"event": "Moved", "arg_a": "", "arg_b": "", "arg_c": "", "arg_d": ""}, "?arg", "At most 3"),
        ({"event": "Moved", "arg_kind": ["1", "2"]}, "?arg.kind", "Given more than once."),
        ({"from_block": 7, "to_block": 6}, "?to_block", "Before from_block."),
        ({"from_block": "0x7"}, "?from_block", "Not a valid integer."),
        ({"order": "random"}, "?order", "Must be one of: newest, oldest."),
        ({"color": "red"}, "?color", "Unknown query parameter."),
        ({"cursor": "abc"}, "?cursor", "Not a cursor of this list."),
    ],
)
def test_what_cannot_be_asked_is_said(get: Get, query: dict[str, Any], pointer: str, detail: str) -> None:
    status, where, said = problem(get(**{"protocol": "desk", **query}))
    assert (status, where) == (422, pointer)
    assert detail in said


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("walks", [64, 0])
@pytest.mark.parametrize("most_walked", [500, 2, 1])
@pytest.mark.parametrize("query", [{}, {"event": "Moved", "arg_trader": ANN}])
def test_pages_give_every_event_once(
    get: Get, monkeypatch: pytest.MonkeyPatch, order: str, walks: int, most_walked: int, query: dict[str, Any]
) -> None:
    """However short the walks: then pages are short, or empty, and go on."""
    whole = places(get(protocol="desk", order=order, **query))
    monkeypatch.setattr(service, "MOST_WALKS", walks)
    monkeypatch.setattr(event_list, "MOST_WALKED", most_walked)
    found: list[int] = []
    cursor: dict[str, str] = {}
    for _ in range(20):
        answer = get(protocol="desk", order=order, limit=2, **query, **cursor)
        found += places(answer)
        assert answer.json["has_more"] is (answer.json["next_cursor"] is not None)
        if answer.json["next_cursor"] is None:
            break
        cursor = {"cursor": answer.json["next_cursor"]}
        assert f"cursor={cursor['cursor']}" in answer.headers["Link"]
    assert found == whole
    assert len(whole) > 2


def test_a_cursor_is_good_for_its_own_order(session: Session, get: Get) -> None:
    store(session, *[(block, ONE, closed()) for block in range(3)])
    cursor = get(protocol="desk", limit=1).json["next_cursor"]
    assert problem(get(protocol="desk", limit=1, order="oldest", cursor=cursor))[1] == "?cursor"


@pytest.fixture
def many(engine: Engine) -> Engine:
    """A hundred thousand events: half of them one contract's of one event, the wanted contract's few all old."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO chain_events (chain_id, block_hash, log_index, block_number, mined_at, transaction_hash,"
                " transaction_index, address, topic0, topic1, data) SELECT :chain, decode(lpad(to_hex(n), 64, '0'),"
                " 'hex'), 0, n, now(), '\\x00', 0, CASE WHEN n < 50 THEN CAST(:one AS bytea) ELSE CAST(:two AS bytea)"
                " END, CASE WHEN n % 2 = 0 THEN CAST(:moved AS bytea) ELSE CAST(:closed AS bytea) END, '\\x00', ''"
                " FROM generate_series(1, 100000) n"
            ),
            {"chain": CHAIN_ID, "one": ONE, "two": TWO, "moved": moved()[0][0], "closed": closed()[0][0]},
        )
        connection.execute(text("ANALYZE chain_events"))
    return engine


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("address", [ONE, TWO])
@pytest.mark.parametrize("topic", [None, b"\x05" * 32])
def test_a_page_is_a_bounded_walk_of_an_index(many: Engine, newest: bool, address: bytes, topic: bytes | None) -> None:
    """No sequential scan, no sort of the table; no more rows touched than the walks' bound, however large it is."""
    walks = [Walk(address, name, (topic, None, None)) for name in (moved()[0][0], closed()[0][0])]
    between = Span((-1, 0), (BLOCK_MAX, -1), newest)
    with Session(many) as session:
        plan = explained(session, lambda: event_list.walk_events(session, CHAIN_ID, walks, between, limit=51))
        scans = [node for node in plan if "Scan" in node["Node Type"] and node.get("Relation Name") == "chain_events"]
        assert {(node["Node Type"], node["Index Name"]) for node in scans} == {
            ("Index Scan", "ix_chain_events_address")
        }
        for node in scans:
            assert node["Actual Rows"] <= event_list.MOST_WALKED
            assert node.get("Rows Removed by Filter", 0) == 0
        by_block = explained(session, lambda: event_list.walk_blocks(session, CHAIN_ID, between))
        scans = [node for node in by_block if node.get("Relation Name") == "chain_events"]
        assert [(node["Node Type"], node["Index Name"]) for node in scans] == [("Index Scan", "ix_chain_events_block")]
        assert scans[0]["Actual Rows"] == event_list.MOST_WALKED


def explained(session: Session, ask: Callable[[], Any]) -> list[dict[str, Any]]:
    """Every node of the plan that Postgres runs the last statement of `ask` by."""
    asked: list[tuple[str, Any]] = []

    @listens_for(session.connection(), "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    ask()
    statement, values = asked[-1]
    plan = session.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).scalar_one()
    session.rollback()
    return list(nodes(plan[0]["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)
