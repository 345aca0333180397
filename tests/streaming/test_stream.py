"""A client's view of the stream: snapshot, events, resuming, and how it ends."""

from __future__ import annotations

from app.core.events import NewEvent, Standing
from tests.streaming.conftest import World, feed_id, price

ADDRESS = "0x" + "ab" * 20


def test_a_snapshot_and_then_the_numbered_events_over_websocket(world: World) -> None:
    world.prices(10, 11)
    world.prices(7, feed=2)
    reader = world.socket("prices:*")
    first = reader.message()
    assert (first["type"], first["id"], first["reset"]) == ("snapshot", "3", False)
    assert [(item["id"], item["topic"], item["data"]) for item in first["topics"]["prices:*"]] == [
        ("2", f"prices:{feed_id(1)}", {"price": "11"}),
        ("3", f"prices:{feed_id(2)}", {"price": "7"}),
    ]
    world.prices(12)
    event = reader.event()
    assert (event["id"], event["topic"], event["data"]) == ("4", f"prices:{feed_id(1)}", {"price": "12"})


def test_the_same_over_sse(world: World) -> None:
    world.prices(10)
    reader = world.sse("prices:*")
    name, event_id, data = reader.message()
    assert (name, event_id, data["reset"]) == ("snapshot", "1", False)
    assert data["topics"]["prices:*"][0]["data"] == {"price": "10"}
    world.prices(11)
    name, event_id, data = reader.message()
    assert (name, event_id, data["data"]) == ("event", "2", {"price": "11"})


def test_a_stream_tells_its_own_topics_and_each_event_once(world: World) -> None:
    reader = world.socket("prices:*", f"prices:{feed_id(1)}", f"positions:{ADDRESS}", "liquidations")
    assert reader.message()["topics"] == {
        "prices:*": [],
        f"prices:{feed_id(1)}": [],
        f"positions:{ADDRESS}": [],
        "liquidations": [],
    }
    other = NewEvent(f"positions:0x{'cd' * 20}", "venue:9", {"size": "1"}, Standing.STATE)
    mine = NewEvent(f"positions:{ADDRESS}", "venue:1", {"size": "2"}, Standing.STATE)
    hidden = NewEvent("transactions", "t", {})
    fact = NewEvent("liquidations", "venue:1:1", {"size": "2"})
    world.emit(price(1), other, mine, hidden, fact)
    assert [reader.event()["topic"] for _ in range(3)] == [
        f"prices:{feed_id(1)}",
        f"positions:{ADDRESS}",
        "liquidations",
    ]
    again = world.socket(f"prices:{feed_id(1)}", f"positions:{ADDRESS}", "liquidations").message()["topics"]
    assert [item["id"] for item in again[f"prices:{feed_id(1)}"]] == ["1"]
    assert [item["data"] for item in again[f"positions:{ADDRESS}"]] == [{"size": "2"}]
    assert again["liquidations"] == []


def test_what_has_ended_is_in_no_snapshot(world: World) -> None:
    opened = NewEvent(f"positions:{ADDRESS}", "venue:1", {"status": "open"}, Standing.STATE)
    closed = NewEvent(f"positions:{ADDRESS}", "venue:1", {"status": "closed"}, Standing.END)
    reader = world.socket(f"positions:{ADDRESS}")
    reader.message()
    world.emit(opened, closed)
    assert [reader.event()["data"]["status"] for _ in range(2)] == ["open", "closed"]
    assert world.socket(f"positions:{ADDRESS}").message()["topics"] == {f"positions:{ADDRESS}": []}


def test_a_resumed_stream_tells_what_was_missed_and_no_snapshot(world: World) -> None:
    world.prices(1, 2, 3, 4)
    reader = world.socket("prices:*", resume=2)
    assert reader.message() == {"type": "resumed", "id": "2"}
    assert reader.ids_until(4) == [3, 4]
    sse = world.sse("prices:*", resume=4)
    assert sse.message() == ("resumed", None, {"type": "resumed", "id": "4"})
    world.prices(5)
    assert sse.ids_until(5) == [5]
    assert reader.ids_until(5) == [5]


def test_an_id_that_is_not_kept_any_more_gets_a_fresh_snapshot_marked_reset(world: World) -> None:
    world.prices(1, 2, 3)
    for unknown in (99,):
        first = world.socket("prices:*", resume=unknown).message()
        assert (first["type"], first["id"], first["reset"]) == ("snapshot", "3", True)


def test_a_bounded_memory_forgets_the_oldest_first(make_world) -> None:  # type: ignore[no-untyped-def]
    world: World = make_world(STREAM__KEEP_EVENTS="100")
    world.prices(*range(150))
    assert world.socket("prices:*", resume=49).message()["reset"] is True
    kept = world.socket("prices:*", resume=50)
    assert kept.message()["type"] == "resumed"
    assert kept.ids_until(150) == list(range(51, 151))


def test_a_ping_is_answered(world: World) -> None:
    reader = world.socket()
    reader.message()
    reader.connection.send('{"ping": 7}')
    assert reader.message() == {"type": "pong", "pong": 7}


def test_a_heartbeat_comes_by_itself(make_world) -> None:  # type: ignore[no-untyped-def]
    world: World = make_world(STREAM__HEARTBEAT_SECONDS="0.05")
    reader = world.socket()
    reader.message()
    assert '"heartbeat"' in str(reader.connection.recv(10))
    answer = world.get(world.ticket())
    lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
    assert ": heartbeat" in lines
