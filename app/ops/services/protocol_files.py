"""`manage.py protocol check`: everything that is wrong with a protocol file, a sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.chain.errors import InvalidProtocol
from app.chain.services.deployed_code import without_code
from app.chain.services.protocols import load_protocol
from app.core.errors import AppError
from app.perps.services.protocols import mistakes


def check(file: Path, values: Mapping[str, str], rpc_url: str | None) -> list[str]:
    """The file's mistakes, each with file and key; with `rpc_url` also addresses that have no code on that node.

    A file that cannot be read as a protocol has one: the first. A node that fails is a sentence too.
    """
    try:
        protocol = load_protocol(file, values)
    except InvalidProtocol as error:
        return [error.detail]
    found = mistakes(protocol)
    if rpc_url is not None:
        try:
            found += without_code(protocol, rpc_url)
        except AppError as error:
            found.append(error.detail)
    return [f"{file.name}: {sentence}" for sentence in found]
