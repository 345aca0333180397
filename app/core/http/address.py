"""The caller's address, as far as it can be believed: behind proxies it is what the trusted hops say."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network

from flask import request


def client_address() -> str | None:
    """The caller's IP address; None over a Unix socket, or when a proxy named none."""
    return _address(request.remote_addr)


def client_network() -> str:
    """What is limited as one caller: of IPv6 the /64, since whoever has one address there has them all."""
    return _network(_address(request.remote_addr))


@lru_cache(maxsize=4096)
def _address(text: str | None) -> str | None:
    try:
        return str(ip_address(text or ""))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _network(address: str | None) -> str:
    if address is None:
        return "unknown"
    return str(ip_network((address, 64), strict=False)) if ":" in address else address
