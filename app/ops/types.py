"""The words of operations: partitions by time; a role of the running stack, and what `.run/stack.json` tells of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path


class Stage(IntEnum):
    """The order of the start, up to SERVE, with which all that is left starts; the stop goes the other way
    throughout.
    """

    INSTALL = 0
    SERVERS = 1
    SETTLE = 2
    SERVE = 3
    WORK = 4
    WATCH = 5
    PLAY = 6


@dataclass(frozen=True, kw_only=True)
class Role:
    """One row of the table that `make up` starts.

    Up to SERVE, roles of a lower stage are ready before the next stage starts; from there on all start together. Roles
    of a higher stage have stopped before a lower one is asked to; those of one stage stop together. A role with `once`
    is a step: it runs to its end, or not at all when `ready` is true beforehand.
    """

    name: str
    command: tuple[str, ...]
    stage: Stage
    log: Path | None
    """Where its output goes; None: to ours, for a person to read along."""
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    """Run before every start: configuration files, a database cluster."""
    ready: Callable[[], bool] | None = None
    """The health check of the start; without one, started is ready."""
    once: bool = False
    errand: bool = False
    """The run ends when this has ended. It starts with the last and is not waited for, nor started again."""
    port: int | None = None
    url: str | None = None
    """Where it answers; never with a password."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    ready_seconds: float = 60.0
    start_tries: int = 1
    way_out: str = ""
    """What a person can do when it does not start; ends the error's sentence."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A started role. The start time stands beside the process id: a re-used id is never mistaken for it."""

    role: str
    pid: int
    started_at: float
    stage: int
    port: int | None
    url: str | None
    log_file: str | None
    stop_signal: int
    stop_seconds: float


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The content of `.run/stack.json`: who supervises, what runs, and the variables that lead to it."""

    supervisor_pid: int
    supervisor_started_at: float
    environment: Mapping[str, str]
    roles: tuple[Started, ...]


class PeriodLength(StrEnum):
    """How much time one partition holds."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class PartitionedTable:
    """A table in partitions by time: made `ahead` periods before they are needed, dropped after `keep`."""

    name: str
    column: str
    length: PeriodLength
    ahead: int
    keep: int
