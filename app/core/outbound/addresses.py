"""Which addresses on the internet a client may make us call: the public ones, and no way round to the others. Pure."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

# Of IPv6 only global unicast: loopback, link-local, unique-local, multicast, IPv4-mapped and NAT64 all lie outside.
# Of that not the tunnels Teredo and 6to4, which carry an IPv4 address of the sender's choice, nor the newer
# documentation prefix, which Python's own table does not have yet.
GLOBAL_UNICAST = IPv6Network("2000::/3")
NOT_PUBLIC = tuple(map(IPv6Network, ("2001::/32", "2002::/16", "3fff::/20")))
# Of IPv4 not the protocol assignments, where one cloud keeps its metadata (192.0.0.192) and of which Python's older
# tables know a part only, nor the way into 6to4, nor the public address under which another cloud serves its machines.
NOT_PUBLIC_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))

PORTS = frozenset({80, 443, 8080, 8443})

# Names that mean something inside a network and nothing outside (RFC 6761, 6762, 8375, and ICANN's `internal`).
_INSIDE = re.compile(r"(^|\.)(localhost|localdomain|local|internal|intranet|home\.arpa)\Z|^[^.]+\Z", re.I)


def is_public(address: str) -> bool:
    """True for an address that belongs to anybody's public server; raises ValueError for what is no address."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        excepted = any(parsed in network for network in NOT_PUBLIC_V4)
        return parsed.is_global and not parsed.is_multicast and not excepted
    excepted = parsed.scope_id is not None or any(parsed in network for network in NOT_PUBLIC)
    return parsed in GLOBAL_UNICAST and parsed.is_global and not excepted


def is_inside(host: str) -> bool:
    """True for a host of a URL that need not be resolved to be refused.

    That is an address that is not public, in any spelling the resolver takes for one (`2130706433`, `0x7f.1`), and a
    name that only an inner network knows.
    """
    host = host.removesuffix(".")
    try:
        return not is_public(host)
    except ValueError:
        spelt = _spelt_address(host)
        return not is_public(spelt) if spelt else _INSIDE.search(host) is not None


def _spelt_address(host: str) -> str | None:
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None
