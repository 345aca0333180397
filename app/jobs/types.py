"""The words of the queue: statuses and their transitions, queues, job kinds, outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.core.http.schema import StrictSchema

Params = Mapping[str, Any]
KeyOf = Callable[[Params], str | None]
DEFAULT_PRIORITY = 5
SYSTEM = "system"


class Status(StrEnum):
    """Where a job is. HTTP also shows `scheduled` and `retrying`, which are views of `queued`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    IN_DOUBT = "in_doubt"


# Every transition there is. The database's trigger says the same; tests compare both, and docs/job-states.md, with
# this.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.EXPIRED}),
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.QUEUED, Status.IN_DOUBT}),
    Status.IN_DOUBT: frozenset({Status.SUCCEEDED, Status.FAILED, Status.QUEUED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.EXPIRED: frozenset(),
}
TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
LIVE = frozenset(Status) - TERMINAL
BUSY = frozenset({Status.RUNNING, Status.IN_DOUBT})
"""What a job is only for a moment: an index of these stays small, so that a claim's entry in it costs one page."""
UNLUCKY = TERMINAL - {Status.SUCCEEDED}
"""How few jobs end: an index of these costs nearly nothing to keep."""


class Queue(StrEnum):
    """A class of work with workers of its own, so that a slow class never starves liquidations."""

    CHAIN = "chain"
    ORACLE = "oracle"
    PERPS = "perps"
    LIQUIDATION = "liquidation"
    DEFAULT = "default"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """One line of a feature's menu. Kind = Celery task name = log field.

    `scope` is what a client needs to submit it; None means that only Watchkeeper itself does.
    `overlap_key` makes a second live job a conflict; `serial_key` makes it wait its turn.
    `bulk` kinds are claimed and finished many a message; their function takes a list.
    `fast_claim` lets the claim commit asynchronously: only for kinds without outside effects and without step commits.
    `needs_key` marks kinds that move money: submitting one requires an Idempotency-Key.
    """

    name: str
    summary: str
    params: type[StrictSchema]
    queue: Queue
    scope: str | None
    timeout_seconds: int = 60
    max_attempts: int = 5
    backoff_seconds: float = 2.0
    backoff_cap_seconds: float = 300.0
    expires_after_seconds: float | None = None
    overlap_key: KeyOf | None = None
    serial_key: KeyOf | None = None
    bulk: bool = False
    fast_claim: bool = False
    needs_key: bool = False


@dataclass(frozen=True, slots=True)
class Menu:
    """Every kind this deployment knows, by name."""

    kinds: Mapping[str, JobKind]

    @classmethod
    def of(cls, *menus: tuple[JobKind, ...]) -> Menu:
        """Join the features' menus; raises ValueError for a name that comes twice."""
        kinds: dict[str, JobKind] = {}
        for kind in (kind for menu in menus for kind in menu):
            if kind.name in kinds:
                raise ValueError(f"two kinds are named {kind.name}")
            kinds[kind.name] = kind
        return cls(kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be: its parameters are validated JSON, as they will be stored."""

    kind: JobKind
    params: Params
    principal: str
    priority: int = DEFAULT_PRIORITY
    run_at: datetime | None = None
    expires_at: datetime | None = None
    max_attempts: int | None = None
    callback_url: str | None = None
    schedule: str | None = None
    slot_at: datetime | None = None
    retried_from: UUID | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claimed job: what the worker needs to run it, and the token that every later write must show."""

    id: UUID
    kind: str
    params: Params
    principal: str
    token: UUID
    fence: int
    attempt: int
    max_attempts: int
    cursor: Mapping[str, Any] | None
    schedule: str | None
    slot_at: datetime | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The work is done; `result` is JSON."""

    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Not yet ("the chain is not there"): run again after `seconds`; costs no attempt."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Over, with an error that trying again would not mend (or with no attempts left)."""

    error: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Retried:
    """Failed this time; run again after `seconds`."""

    error: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Stopped because somebody asked for it."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An outside effect may or may not have happened; a resolver or an operator decides."""

    error: Mapping[str, Any]


Outcome = Succeeded | Snoozed | Failed | Retried | Cancelled | InDoubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """When a schedule fires: every so many seconds, or by a crontab in a named time zone."""

    interval_seconds: int | None = None
    crontab: str | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class DueSlots:
    """Slots between a schedule's mark and now: their count, the first, and the newest ones listed, oldest first."""

    count: int
    first: datetime
    newest: list[datetime]


class CatchUp(StrEnum):
    """Which slots of an outage run when it is over: none more than a minute late, the latest, or all within bounds."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


class Overlap(StrEnum):
    """What a slot does that finds the last one's job alive: it is skipped (overlap key), or waits in line (serial
    key).
    """

    SKIP = "skip"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleEntry:
    """A line of `tasks/schedule.py`. Skipped slots are recorded, whatever skipped them."""

    name: str
    summary: str
    kind: JobKind
    cadence: Cadence
    params: Params = field(default_factory=dict)
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_limit: int = 1000
    catch_up_window_seconds: int = 7 * 86_400
    overlap: Overlap = Overlap.SKIP


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """What a list is narrowed to; `principal` None means everybody's."""

    principal: str | None
    status: str | None = None
    kind: str | None = None
    queue: str | None = None
    schedule: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
