"""Which addresses on the internet a client may make us call: the public ones, and no way round to the others. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Network, ip_address

# Of IPv6 only global unicast: loopback, link-local, unique-local, multicast, IPv4-mapped and NAT64 all lie outside.
# Of that not the tunnels Teredo and 6to4, which carry an IPv4 address of the sender's choice, nor the newer
# documentation prefix, which Python's own table does not have yet.
GLOBAL_UNICAST = IPv6Network("2000::/3")
NOT_PUBLIC = (IPv6Network("2001::/32"), IPv6Network("2002::/16"), IPv6Network("3fff::/20"))

PORTS = frozenset({80, 443, 8080, 8443})


def is_public(address: str) -> bool:
    """True for an address that belongs to anybody's public server; raises ValueError for what is no address."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return parsed.is_global and not parsed.is_multicast
    excepted = any(parsed in network for network in NOT_PUBLIC)
    return parsed in GLOBAL_UNICAST and parsed.is_global and not excepted
