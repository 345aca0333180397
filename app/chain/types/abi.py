"""An event as its ABI describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.chain.types.blocks import Log


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an event. `type` as a signature has it: structs as tuples, `uint` as `uint256`."""

    name: str
    type: str
    indexed: bool


@dataclass(frozen=True, slots=True)
class EventAbi:
    """One event of an ABI, compiled; `decode` raises MalformedEvent for a log that does not fit, and so does `check`,
    which gives nothing.

    `topic` is None for an anonymous event: all of its topics are arguments.
    """

    name: str
    signature: str
    topic: bytes | None
    decode: Callable[[Log], dict[str, Any]]
    check: Callable[[Log], None]
    arguments: tuple[Argument, ...]
