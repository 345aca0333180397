"""The caller's address, as far as it can be believed: behind proxies it is what the trusted hops say."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from flask import request


def client_address() -> str | None:
    """The caller's IP address; None over a Unix socket, or when a proxy named none."""
    try:
        return str(ip_address(request.remote_addr or ""))
    except ValueError:
        return None


def client_network() -> str:
    """What is limited as one caller: of IPv6 the /64, since whoever has one address there has them all."""
    address = client_address()
    if address is None:
        return "unknown"
    return str(ip_network((address, 64), strict=False)) if ":" in address else address
