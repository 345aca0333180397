"""The floor under a stream: readers that subscribe to Redis itself, and a publisher that publishes to it.

No commit, no order kept over a cut, no rights: what Redis and the machine take to reach so many sockets.
"""

from __future__ import annotations

from redis import Redis

CHANNEL = "bench:prices"


def request(password: str) -> str:
    """What a reader sends: who it is, and what it subscribes to."""
    return f"AUTH {password}\r\nSUBSCRIBE {CHANNEL}\r\n"


def publish(redis: Redis, payload: str) -> None:
    """One message to all of them."""
    redis.publish(CHANNEL, payload)
