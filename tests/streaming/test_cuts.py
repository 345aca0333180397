"""Clients that are cut and come back, and a Redis that is killed, flushed, or comes back older: nothing lost, nothing
repeated; and where something is lost, it is said.
"""

from __future__ import annotations

import random
import threading

import pytest

from app.core.events import LATEST, LATEST_READY, STREAM
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from tests.streaming.conftest import MakeWorld, Socket, Sse, World, feed_id, price
from tests.streaming.test_ends import ended

CUTS = 50
Reader = Socket | Sse


def opened(world: World, draw: random.Random, last: int) -> Reader:
    """A reader that goes on from `last`, by either transport."""
    reader: Reader = world.socket(resume=last) if draw.random() < 0.5 else world.sse(resume=last)
    message = reader.message()
    first = message if isinstance(message, dict) else message[2]
    assert first == {"type": "resumed", "id": str(last)}
    return reader


@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_cuts_lose_nothing_and_repeat_nothing(make_world: MakeWorld, seed: int) -> None:
    world = make_world(STREAM__MAX_PER_PRINCIPAL="100")
    draw = random.Random(seed)  # noqa: S311 - the same cuts for the same seed
    world.prices(0)
    seen = [1]
    reader = opened(world, draw, 1)
    for _ in range(CUTS):
        published = world.prices(*range(draw.randint(1, 6)))
        if draw.random() < 0.5:  # else it is cut with events on their way
            seen += reader.ids_until(draw.randint(seen[-1] + 1, published))
        reader.cut()
        if draw.random() < 0.5:
            published = world.prices(*range(draw.randint(1, 6)))
        reader = opened(world, draw, seen[-1])
    if seen[-1] < world.number:
        seen += reader.ids_until(world.number)
    assert seen == list(range(1, world.number + 1))


def test_a_killed_redis_is_said_and_recovered_from(own_world: World, own_broker: EmbeddedValkey) -> None:
    world = own_world
    world.prices(1)
    reader, sse = world.socket(), world.sse()
    reader.message()
    sse.message()
    own_broker.stop()
    assert reader.message() == {"type": "stalled"}
    assert sse.message()[0] == "stalled"
    assert world.get(world.ticket()).json()["code"] == "streaming.source_gone"
    assert world.socket().close_code() == (1013, "streaming.source_gone")
    own_broker.start()
    assert reader.message() == {"type": "live"}
    assert sse.message()[0] == "live"
    world.prices(2)
    assert reader.ids_until(2) == [2]
    assert sse.ids_until(2) == [2]


def test_after_a_flush_the_present_state_is_there_again_and_old_ids_are_reset(own_world: World) -> None:
    world = own_world
    world.prices(1, 2)
    world.emit(price(5, 2))
    world.stream.terminate()
    world.stream.stop()
    world.redis.flushall()
    world.prices(3)  # the dispatcher sees the gap and puts back what was lost first
    world.dispatcher.round()
    world.stream.start()
    first = world.socket(resume=2).message()
    assert (first["type"], first["reset"], first["id"]) == ("snapshot", True, "4")
    assert [item["data"]["price"] for item in first["topics"]["prices:*"]] == ["5", "3"]


def test_readers_who_stay_through_a_flush_miss_nothing(own_world: World) -> None:
    world = own_world
    reader = world.socket()
    reader.message()
    world.prices(1)
    assert reader.ids_until(1) == [1]
    world.redis.flushall()
    world.prices(2)
    world.dispatcher.round()
    seen = []
    while not seen or seen[-1] != "2":  # as an event, or in the snapshot of one who looked while Redis was empty
        message = reader.message()
        seen += [item["id"] for item in message.get("events", ()) or message.get("topics", {}).get("prices:*", ())]
    assert seen in (["2"], ["1", "2"])


def test_a_redis_that_comes_back_older_is_noticed_by_whoever_missed_something(own_world: World) -> None:
    world = own_world
    keys = (STREAM, LATEST + "prices")
    world.prices(1)
    older = [world.redis.dump(key) for key in keys]
    world.prices(2)
    for key, value in zip(keys, older, strict=True):  # as after a crash that lost the last second
        world.redis.restore(key, 0, value, replace=True)
    world.stream.terminate()
    world.stream.stop()
    world.prices(3)
    world.dispatcher.round()
    world.stream.start()
    assert world.socket(resume=1).message()["reset"] is True
    item = world.socket().message()["topics"]["prices:*"][0]
    assert (item["id"], item["data"]) == ("3", {"price": "3"})


def test_no_snapshot_is_told_while_redis_is_being_restored(own_world: World) -> None:
    world = own_world
    world.prices(1)
    world.redis.delete(LATEST_READY)
    reader = world.socket()
    world.redis.hset(LATEST + "prices", feed_id(0), '1 2026-01-01T00:00:00Z {"price":"half"}')
    world.dispatcher._next_maintenance = 0
    world.dispatcher.round()
    assert reader.message()["topics"]["prices:*"][0]["data"] == {"price": "1"}
    sse = world.sse()
    sse.message()
    world.stream.terminate()
    sse.message()
    assert ended(sse)


def test_a_burst_larger_than_a_readers_queue_cuts_nobody_who_reads(make_world: MakeWorld) -> None:
    world = make_world(STREAM__QUEUE_EVENTS="100")
    reader, sse = world.socket(), world.sse()
    reader.message()
    sse.message()
    world.prices(*range(450))
    assert reader.ids_until(450) == list(range(1, 451))
    assert sse.ids_until(450) == list(range(1, 451))


def test_a_snapshot_and_the_events_after_it_join_without_a_seam(make_world: MakeWorld) -> None:
    """Readers come while events are published: none between snapshot and events is missing, none is there twice."""
    world = make_world(STREAM__MAX_PER_PRINCIPAL="1000")
    world.prices(0)
    readers: list[tuple[int, Reader]] = []
    publisher = threading.Thread(target=lambda: [world.prices(*range(20)) for _ in range(40)])
    publisher.start()
    while publisher.is_alive() and len(readers) < 100:
        reader: Reader = world.socket() if len(readers) % 2 else world.sse()
        message = reader.message()
        snapshot = message if isinstance(message, dict) else message[2]
        item = snapshot["topics"]["prices:*"][0]
        assert item["id"] == snapshot["id"], "the state and the number are of one moment"
        readers.append((int(item["id"]), reader))
    publisher.join()
    assert len({first for first, _ in readers}) > 3, "they came at different moments"
    last = world.prices(1)
    for first, reader in readers:
        assert reader.ids_until(last) == list(range(first + 1, last + 1))
