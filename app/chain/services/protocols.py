"""Reading protocol files. Every mistake is one sentence that names the file and the key (docs/protocol-files.md)."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from app.chain.errors import InvalidProtocol, UnsupportedAbi
from app.chain.maths.abi import compile_event, compile_events
from app.chain.services.contract_sets import MadeBy, anonymous_events, factories, watched_events
from app.chain.types.abi import EventAbi
from app.chain.types.blocks import ContractSet
from app.chain.types.protocols import Protocol, ProtocolContract

T = TypeVar("T")
FEATURES = ("perps",)
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CONTRACT = re.compile(r"[A-Za-z0-9_-]{1,100}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


class _Factory(msgspec.Struct, forbid_unknown_fields=True):
    contract: str
    event: str
    argument: str


class _Contract(msgspec.Struct, forbid_unknown_fields=True):
    abi: str
    address: str | list[str] | None = None
    factory: _Factory | None = None
    events: list[str] | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    chain_id: int
    contracts: dict[str, Any]
    start_block: int = 0
    perps: dict[str, Any] | None = None


def load_protocol(path: Path, values: Mapping[str, str]) -> Protocol:
    """The protocol in the TOML file `path`, named like the file, its `${placeholders}` filled from `values`.

    ABI files are looked for beside it. Raises InvalidProtocol.
    """
    if not _NAME.fullmatch(path.stem):
        raise InvalidProtocol(f"{path.name}: the name must be at most 40 of a-z, 0-9 and _, beginning with a letter.")
    try:
        written = tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidProtocol(f"{path.name} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidProtocol(f"{path.name} is not TOML: {error}.") from error
    try:
        return _protocol(path, written, values)
    except InvalidProtocol as error:
        raise InvalidProtocol(f"{path.name}: {error.detail}") from error


def deployment_values(path: Path) -> dict[str, str]:
    """The values of a deployment's JSON file by dotted name (`perp.address`), to fill placeholders from.

    Raises InvalidProtocol when there is no such file or it is not a JSON object.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidProtocol(f"The deployment file {path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise InvalidProtocol(f"The deployment file {path} is not a JSON object.")
    return dict(_flattened(found, ""))


def _flattened(table: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            flat += _flattened(value, f"{prefix}{key}.")
        elif isinstance(value, str | int):
            flat.append((prefix + key, str(value)))
    return flat


def _protocol(path: Path, written: Mapping[str, Any], values: Mapping[str, str]) -> Protocol:
    file = _checked(_filled(written, values, ""))
    tables = {name: _converted(table, _Contract, f"contracts.{name}.") for name, table in file.contracts.items()}
    contracts = {name: _contract(path, name, table) for name, table in tables.items()}
    made_by = {
        name: MadeBy(table.factory.contract, table.factory.event, table.factory.argument)
        for name, table in tables.items()
        if table.factory is not None
    }
    contract_set = ContractSet(
        path.stem,
        file.chain_id,
        file.start_block,
        watched_events(contracts),
        anonymous_events(contracts),
        factories(contracts, made_by),
    )
    sections = {feature: table for feature in FEATURES if (table := getattr(file, feature)) is not None}
    return Protocol(path.stem, contracts, contract_set, sections)


def _contract(path: Path, name: str, table: _Contract) -> ProtocolContract:
    key = f"contracts.{name}"
    if not _CONTRACT.fullmatch(name):
        raise InvalidProtocol(f"{key}: the name must be letters, digits, _ and -, at most 100.")
    if table.address is not None and table.factory is not None:
        raise InvalidProtocol(f"{key}.factory: a contract has an address or a factory, not both.")
    if table.address is None and table.factory is None:
        raise InvalidProtocol(f"{key}.address is missing (or a factory that makes such contracts).")
    addresses = () if table.address is None else _addresses(table.address, f"{key}.address")
    abi = _abi(path.parent / table.abi, f"{key}.abi")
    return ProtocolContract(addresses, abi, tuple(_wanted(abi, table.events, key)))


def _filled(value: Any, values: Mapping[str, str], key: str) -> Any:
    """The tables with placeholders filled in; a value that is a whole number only because of one becomes a number."""
    if isinstance(value, dict):
        return {name: _filled(inner, values, f"{key}.{name}".lstrip(".")) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values, key) for inner in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise InvalidProtocol(f"{key}: nothing is known as {found[1]}; set it, or name the deployment's file.")
        return values[found[1]]

    text = _PLACEHOLDER.sub(fill, value)
    return int(text) if text != value and re.fullmatch(r"[0-9]{1,18}", text) else text


def _converted(value: Any, kind: type[T], key: str) -> T:
    """`value` as the struct `kind`; `key` is where it stands in the file, with a dot at its end, or empty."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        key += where.strip("`").lstrip(".") + "." if where else ""
        if found := re.match(r"Object missing required field `(.*)`", reason):
            raise InvalidProtocol(f"{key}{found[1]} is missing.") from error
        if found := re.match(r"Object contains unknown field `(.*)`", reason):
            raise InvalidProtocol(f"{key}{found[1]}: there is no such key.") from error
        raise InvalidProtocol(f"{key.removesuffix('.')}: {reason[0].lower()}{reason[1:]}.") from error


def _checked(filled: Mapping[str, Any]) -> _File:
    file = _converted(filled, _File, "")
    if not file.contracts:
        raise InvalidProtocol("contracts: at least one is needed.")
    for key, number, least in (("chain_id", file.chain_id, 1), ("start_block", file.start_block, 0)):
        if not least <= number < 2**63:
            raise InvalidProtocol(f"{key}: must be at least {least} and fit 64 bits, not {number}.")
    return file


def _addresses(written: str | Sequence[str], key: str) -> tuple[bytes, ...]:
    addresses = [written] if isinstance(written, str) else written
    for address in addresses:
        if not _ADDRESS.fullmatch(address):
            raise InvalidProtocol(f"{key}: {address!r} is not an address (0x and 40 hexadecimal digits).")
        mixed = address[2:] not in (address[2:].lower(), address[2:].upper())
        # eth-utils takes long to load, and most files have no such address.
        if mixed and not import_module("eth_utils.address").is_checksum_address(address):
            raise InvalidProtocol(f"{key}: the capitals of {address} do not fit its checksum; a digit is wrong.")
    unique = tuple(dict.fromkeys(bytes.fromhex(address[2:]) for address in addresses))
    if not unique or len(unique) != len(addresses):
        raise InvalidProtocol(f"{key}: needs an address, and each only once.")
    return unique


def _abi(path: Path, key: str) -> list[dict[str, Any]]:
    """The ABI in a file that is a list of entries, or an artifact with one under `abi`."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise InvalidProtocol(f"{key}: {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidProtocol(f"{key}: {path} is not JSON: {error}.") from error
    entries = found.get("abi") if isinstance(found, dict) else found
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidProtocol(f"{key}: {path} holds no ABI (a list of entries, or an object with one under `abi`).")
    return entries


def _wanted(abi: Sequence[Mapping[str, Any]], names: Sequence[str] | None, key: str) -> list[EventAbi]:
    """The events of these names; without names all but anonymous ones, which are only read where they are asked for."""
    try:
        events = compile_events(abi)
        known = sorted({event.name for event in events})
        if names is not None:
            events += [compile_event(entry) for entry in abi if entry.get("type") == "event" and entry.get("anonymous")]
            known = sorted({event.name for event in events})
            events = [event for event in events if event.name in names]
    except UnsupportedAbi as error:
        raise InvalidProtocol(f"{key}.abi: {error.detail}") from error
    for name in names or ():
        if name not in known:
            raise InvalidProtocol(f"{key}.events: the ABI has no event {name}; it has {', '.join(known) or 'none'}.")
    if not events:
        raise InvalidProtocol(f"{key}.events: no event of the ABI is wanted.")
    return events
