"""The health checks of the start: does a role answer yet?"""

from __future__ import annotations

import socket

import requests
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

TIMEOUT_SECONDS = 1.0
PING_SECONDS = 0.2
"""A ping that nobody hears waits this long, and the supervisor with it; one that is heard is answered in a few ms."""


def http_answers(url: str) -> bool:
    """True when `url` gives any answer that is not a server's failure."""
    try:
        return requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False).status_code < 500
    except requests.RequestException:
        return False


def worker_answers(broker_url: str, name: str) -> bool:
    """True when the Celery worker `name@<this host>` answers a ping through the broker."""
    with Celery(broker=broker_url, set_as_current=False) as app:
        try:
            return bool(app.control.ping(destination=[f"{name}@{socket.gethostname()}"], timeout=PING_SECONDS))
        except (OperationalError, RedisError):  # kombu leaves some of the client's own errors as they are
            return False


def has_contract(rpc_url: str, address: str) -> bool:
    """True when the chain has code at `address`."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_getCode", "params": [address, "latest"]}
    answer = requests.post(rpc_url, json=call, timeout=TIMEOUT_SECONDS).json()
    return len(answer.get("result", "0x")) > len("0x")
