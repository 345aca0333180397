"""Which ports the roles get. What people type stays where it is; what only we dial may move."""

from __future__ import annotations

from app.ops.adapters import process_table
from app.ops.adapters.process import free_port, port_is_taken
from app.ops.errors import PortTaken

DEFAULTS = {
    "postgres": 15432,
    "broker": 16379,
    "cache": 16380,
    "anvil": 18545,
    "price-server": 18546,
    "demo's api": 18000,
    "demo's flower": 15555,
    "demo's stream": 18001,
}


def public_port(what: str, variable: str, port: int, host: str = "127.0.0.1") -> int:
    """`port`, checked; raises PortTaken with who holds it and the variable that chooses another."""
    way_out = f"`{variable}={port + 10 if port >= 1024 else 8000} make up`"
    try:
        taken = port_is_taken(port, host)
    except PermissionError:
        raise PortTaken(f"Port {port} ({what}) is below 1024 and needs root: choose another, {way_out}.") from None
    except OSError as error:
        raise PortTaken(f"{what} cannot listen on {host}: {error.strerror}.") from error
    if taken:
        owner = process_table.port_owner(port) or "another process"
        raise PortTaken(f"Port {port} ({what}) is taken by {owner}: stop it, or choose another port, {way_out}.")
    return port


def inner_port(role: str) -> int:
    """The role's usual port, or any free one: who dials it is told, our own processes for the most part."""
    return free_port(DEFAULTS[role])
