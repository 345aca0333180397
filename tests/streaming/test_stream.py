"""A client's view of the stream: snapshot, events, resuming."""

from __future__ import annotations

from app.core.events import NewEvent, Standing
from tests.streaming.conftest import MakeWorld, World, feed_id, price

ADDRESS = "0x" + "ab" * 20


def test_a_snapshot_and_then_the_numbered_events_over_websocket(own_world: World) -> None:
    world = own_world
    world.emit(price(10, 1), price(11, 1), price(7, 2))
    reader = world.socket("prices:*")
    first = reader.message()
    assert (first["type"], first["id"], first["reset"]) == ("snapshot", "3", False)
    assert [(item["id"], item["topic"], item["data"]) for item in first["topics"]["prices:*"]] == [
        ("2", f"prices:{feed_id(1)}", {"price": "11"}),
        ("3", f"prices:{feed_id(2)}", {"price": "7"}),
    ]
    world.emit(price(12, 1))
    event = reader.event()
    assert (event["id"], event["topic"], event["data"]) == ("4", f"prices:{feed_id(1)}", {"price": "12"})


def test_the_same_over_sse(world: World) -> None:
    number = world.prices(10)
    reader = world.sse(world.topic)
    name, event_id, data = reader.message()
    assert (name, event_id, data["reset"]) == ("snapshot", str(number), False)
    assert data["topics"][world.topic][0]["data"] == {"price": "10"}
    world.prices(11)
    name, event_id, data = reader.message()
    assert (name, event_id, data["data"]) == ("event", str(number + 1), {"price": "11"})


def test_a_stream_tells_its_own_topics_and_each_event_once(world: World) -> None:
    names = (world.topic, f"positions:{ADDRESS}", "liquidations")
    reader = world.socket(*names, "prices:*")
    first = reader.message()["topics"]
    assert {name: first[name] for name in names} == {name: [] for name in names}
    other = NewEvent(f"positions:0x{'cd' * 20}", "venue:9", {"size": "1"}, Standing.STATE)
    mine = NewEvent(f"positions:{ADDRESS}", "venue:1", {"size": "2"}, Standing.STATE)
    hidden = NewEvent("transactions", "t", {})
    fact = NewEvent("liquidations", "venue:1:1", {"size": "2"})
    last = world.emit(price(1, world.feed), other, mine, hidden, fact)
    told = [reader.event() for _ in range(3)]
    assert [event["topic"] for event in told] == list(names)
    assert [int(event["id"]) for event in told] == [last - 4, last - 2, last]
    again = world.socket(*names).message()["topics"]
    assert [item["id"] for item in again[world.topic]] == [str(last - 4)]
    assert [item["data"] for item in again[f"positions:{ADDRESS}"]] == [{"size": "2"}]
    assert again["liquidations"] == []


def test_what_has_ended_is_in_no_snapshot(world: World) -> None:
    topic = f"positions:0x{'ef' * 20}"
    reader = world.socket(topic)
    reader.message()
    world.emit(
        NewEvent(topic, "venue:1", {"status": "open"}, Standing.STATE),
        NewEvent(topic, "venue:1", {"status": "closed"}, Standing.END),
    )
    assert [reader.event()["data"]["status"] for _ in range(2)] == ["open", "closed"]
    assert world.socket(topic).message()["topics"] == {topic: []}


def test_a_resumed_stream_tells_what_was_missed_and_no_snapshot(world: World) -> None:
    last = world.prices(1, 2, 3, 4)
    reader = world.socket(world.topic, resume=last - 2)
    assert reader.message() == {"type": "resumed", "id": str(last - 2)}
    assert reader.ids_until(last) == [last - 1, last]
    sse = world.sse(world.topic, resume=last)
    assert sse.message() == ("resumed", None, {"type": "resumed", "id": str(last)})
    world.prices(5)
    assert sse.ids_until(last + 1) == [last + 1]
    assert reader.ids_until(last + 1) == [last + 1]


def test_an_id_that_nobody_gave_gets_a_fresh_snapshot_marked_reset(world: World) -> None:
    last = world.prices(1)
    first = world.socket(world.topic, resume=last + 10).message()
    assert (first["type"], first["id"], first["reset"]) == ("snapshot", str(last), True)


def test_a_bounded_memory_forgets_the_oldest_first(make_world: MakeWorld) -> None:
    world = make_world(STREAM__KEEP_EVENTS="100")
    world.prices(*range(150))
    assert world.socket(resume=49).message()["reset"] is True
    kept = world.socket(resume=50)
    assert kept.message()["type"] == "resumed"
    assert kept.ids_until(150) == list(range(51, 151))


def test_a_ping_is_answered(world: World) -> None:
    reader = world.socket()
    reader.message()
    reader.connection.send('{"ping": 7}')
    assert reader.message() == {"type": "pong", "pong": 7}


def test_a_heartbeat_comes_by_itself(make_world: MakeWorld) -> None:
    world = make_world(STREAM__HEARTBEAT_SECONDS="0.05")
    reader = world.socket()
    reader.message()
    assert '"heartbeat"' in str(reader.connection.recv(10))
    lines = world.get(world.ticket()).iter_lines(chunk_size=None, decode_unicode=True)
    assert ": heartbeat" in lines
