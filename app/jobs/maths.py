"""Pure decisions of the queue: back-off, when a job will be done, which slots are due. Time and chance are arguments.

Crontabs follow Debian's cron over a change of daylight saving time (cronsim's rule): a job at a fixed time of day that
the clock skips runs right after the gap, and one in the repeated hour runs once; jobs with a wildcard hour or minute
follow the wall clock as it is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from app.jobs.types import Cadence, CatchUp, DueSlots

MAX_LISTED_SLOTS = 10_000
TOO_LATE = timedelta(seconds=60)
PACE_SECONDS = 120.0
LONGEST_ETA_SECONDS = 366 * 86_400.0

Sample = tuple[float, float]
"""A moment in seconds since 1970, and which fraction of the work was done then."""


def backoff_seconds(attempt: int, base_seconds: float, cap_seconds: float, jitter: float) -> float:
    """The wait after failed attempt number `attempt`: base·2^(attempt−1), capped, times 0.5 to 1 by `jitter` in [0, 1].

    Half of the wait is sure, so that a storm of retries spreads and none comes at once.
    """
    whole = min(cap_seconds, base_seconds * 2.0 ** min(attempt - 1, 60))
    return whole * (0.5 + 0.5 * jitter)


def recent_samples(samples: Sequence[Sample]) -> list[Sample]:
    """Those of the last PACE_SECONDS, counted from the newest, oldest first; never fewer than the newest two."""
    newest = samples[-1][0] if samples else 0.0
    kept = [sample for sample in samples if newest - sample[0] <= PACE_SECONDS]
    return kept if len(kept) > 1 else list(samples[-2:])


def eta_seconds(samples: Sequence[Sample]) -> float | None:
    """How long from the newest sample on until the fraction is 1, at the pace since the oldest; None while that is not
    known: one sample, no progress between them, or more than LONGEST_ETA_SECONDS.
    """
    if len(samples) < 2:
        return None
    (began, first), (newest, last) = samples[0], samples[-1]
    if newest <= began or last <= first:
        return None
    seconds = max(0.0, 1.0 - last) * (newest - began) / (last - first)
    return seconds if seconds <= LONGEST_ETA_SECONDS else None


def cadence_fault(cadence: Cadence) -> str | None:
    """What is wrong with a cadence, as a sentence; None when it can be followed."""
    if (cadence.interval_seconds is None) == (cadence.crontab is None):
        return "Give an interval or a crontab, and not both."
    if cadence.interval_seconds is not None:
        return None if cadence.interval_seconds >= 1 else "The interval is below one second."
    try:
        zone = ZoneInfo(cadence.time_zone)
    except (KeyError, ValueError, OSError):
        return f"There is no time zone '{cadence.time_zone[:60]}'."
    try:
        next(CronSim(cadence.crontab or "", datetime(2026, 1, 1, tzinfo=zone)))
    except (CronSimError, StopIteration) as error:
        return f"The crontab cannot be followed: {error or 'it never fires'}."
    return None


def next_slot(cadence: Cadence, anchor_at: datetime, after: datetime) -> datetime:
    """The first slot after `after`: anchor + k·interval, or the crontab's next match in its time zone; in UTC."""
    if cadence.interval_seconds is not None:
        passed = math.floor((after - anchor_at) / timedelta(seconds=cadence.interval_seconds))
        return anchor_at + (passed + 1) * timedelta(seconds=cadence.interval_seconds)
    return next(_cron_slots(cadence, after))


def due_slots(cadence: Cadence, anchor_at: datetime, mark_at: datetime, now: datetime) -> DueSlots:
    """The slots in (mark_at, now]: how many, the first, and the newest MAX_LISTED_SLOTS of them.

    An interval's are computed, so that a beat that was dead for a year costs no more than one that blinked; a crontab's
    are walked, O(slots).
    """
    if cadence.interval_seconds is not None:
        step = timedelta(seconds=cadence.interval_seconds)
        before = math.floor((mark_at - anchor_at) / step)
        last = math.floor((now - anchor_at) / step)
        kept = range(max(before + 1, last - MAX_LISTED_SLOTS + 1), last + 1)
        return DueSlots(max(0, last - before), anchor_at + (before + 1) * step, [anchor_at + k * step for k in kept])
    newest: deque[datetime] = deque(maxlen=MAX_LISTED_SLOTS)
    count = 0
    first = now
    for slot in _cron_slots(cadence, mark_at):
        if slot > now:
            break
        first = slot if count == 0 else first
        count += 1
        newest.append(slot)
    return DueSlots(count, first, list(newest))


def slots_to_run(due: DueSlots, catch_up: CatchUp, limit: int, window: timedelta, now: datetime) -> list[datetime]:
    """Which of the due slots run, oldest first; the others, always the oldest ones, are skipped and recorded.

    `none`: the newest, unless it is over a minute late. `latest`: the newest. `all`: the newest `limit` of those not
    older than `window`.
    """
    match catch_up:
        case CatchUp.NONE:
            return [slot for slot in due.newest[-1:] if now - slot <= TOO_LATE]
        case CatchUp.LATEST:
            return due.newest[-1:]
        case CatchUp.ALL:
            return [slot for slot in due.newest if now - slot <= window][-limit:]


def aligned_anchor(now: datetime, interval_seconds: int) -> datetime:
    """The last whole multiple of the interval since 1970, so that an hourly schedule fires on the hour."""
    return datetime.fromtimestamp(now.timestamp() // interval_seconds * interval_seconds, UTC)


def _cron_slots(cadence: Cadence, after: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(cadence.time_zone)
    return (slot.astimezone(UTC) for slot in CronSim(cadence.crontab or "", after.astimezone(zone)))
