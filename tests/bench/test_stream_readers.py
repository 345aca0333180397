"""The readers of the stream's benchmark count what comes, once each, however the bytes are cut."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit

from redis import Redis

from app.ops.adapters.embedded_valkey import EmbeddedValkey
from bench.baselines import plain_pubsub
from bench.stream import end, payload, reading
from bench.stream_readers import Reader, Tally, read


def test_each_reader_gets_each_message(broker: EmbeddedValkey) -> None:
    url = urlsplit(broker.url)
    requests = [plain_pubsub.request(url.password or "")] * 3
    with Redis.from_url(broker.url) as redis, reading(requests, url.port or 0) as readers:
        for name in ("warm_up", "made_at", "made_at"):
            plain_pubsub.publish(redis, json.dumps(payload(name), separators=(",", ":")))
        while any(int(client["omem"]) for client in redis.client_list(_type="pubsub")):
            pass  # all of it is on its way
        figures = end(readers)
    assert (figures["events"], figures["hung_up"]) == (6, 0)


def test_an_event_cut_in_two_counts_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader, tally = Reader(ours), Tally()
        whole = f'{{"made_at":"{time.time():.6f}"}}'.encode()
        for part in (whole[:15], whole[15:] + whole[:5], whole[5:], b"and no more"):
            theirs.sendall(part)
            assert read(reader, tally)
        theirs.close()
        assert not read(reader, tally)
    assert (len(tally.milliseconds), tally.hung_up) == (2, 1)
