"""A claimed job in a worker's hands: the token-checked steps, progress, cancellation and outside effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from sqlalchemy.orm import Session

from app.core.clock import rfc3339, utc_now
from app.core.failpoints import failpoint
from app.jobs.errors import CancelRequested, EffectInDoubt, LeaseLost
from app.jobs.maths import Sample, eta_seconds, recent_samples
from app.jobs.queries import claim as queries
from app.jobs.queries import effects
from app.jobs.types import Claim, Params


class JobRun:
    """What a task's function gets: `params` (validated), `session`, and the claim's rights.

    Writes made through `session` commit together with the job's completion, once the function returns. A long job
    commits earlier with `step()`. Both check the claim's token in the same transaction, so a worker whose lease was
    lost writes nothing.
    """

    def __init__(self, claim: Claim, params: Params, session: Session, lease_seconds: float):
        self.claim = claim
        self.params = params
        self.session = session
        self.lost = Event()
        self.cancelled = Event()
        self.progress: dict[str, Any] | None = None
        self.samples: list[Sample] = [(at, fraction) for at, fraction in (claim.cursor or {}).get("samples", ())]
        self._lease_seconds = lease_seconds

    @property
    def cursor(self) -> Mapping[str, Any] | None:
        """Where an earlier attempt's last step left off."""
        return self.claim.cursor

    @property
    def slot_at(self) -> datetime | None:
        """The schedule's slot this job stands for, if a schedule made it."""
        return self.claim.slot_at

    def check(self) -> None:
        """Stop here when the lease is lost (LeaseLost) or cancellation was asked for (CancelRequested)."""
        if self.lost.is_set():
            raise LeaseLost()
        if self.cancelled.is_set():
            raise CancelRequested()

    def report(self, fraction: float, stage: str, message: str = "") -> None:
        """Progress for those who poll: written with the next step or heartbeat.

        When it will be done is told from the pace of the last reports. A job that goes back to the queue between them
        keeps `samples` in its cursor, under that name, and goes on counting.
        """
        done, now = min(max(fraction, 0.0), 1.0), utc_now()
        self.samples = recent_samples([*self.samples, (now.timestamp(), done)])
        seconds = eta_seconds(self.samples)
        eta_at = None if seconds is None else rfc3339(now + timedelta(seconds=seconds))
        self.progress = {"pct": round(100 * done, 1), "stage": stage, "message": message, "eta_at": eta_at}

    def step(self, cursor: Mapping[str, Any] | None = None) -> None:
        """Commit what was written so far and move the cursor; raises LeaseLost or CancelRequested.

        A cancellation found here commits this step first: its work is done and its cursor true.
        """
        cancelled = queries.step(
            self.session,
            self.claim.id,
            token=self.claim.token,
            lease=self._lease_seconds,
            cursor=cursor,
            progress=self.progress,
        )
        if cancelled is None:
            self.session.rollback()
            self.lost.set()
            raise LeaseLost()
        failpoint("worker.step.before")
        self.session.commit()
        failpoint("worker.step.after")
        if cancelled:
            self.cancelled.set()
            raise CancelRequested()

    def effect(self, key: str, act: Callable[[], Mapping[str, Any]], *, repeatable: bool) -> Mapping[str, Any]:
        """Do an outside effect whose row is written first; returns its answer, also one of an earlier attempt.

        `key` names the business subject, never the job. A repeatable effect is one that its receiver takes twice
        without harm: it is simply done again. One that is not, found half done, raises EffectInDoubt: a resolver
        decides.
        """
        if not effects.begin(self.session, key, self.claim.id, repeatable=repeatable):
            known = effects.read(self.session, key)
            if known.phase == "done":
                return dict(known.response or {})
            if not known.repeatable:
                raise EffectInDoubt(effect_key=key)
            effects.adopt(self.session, key, self.claim.id)
        self.step()
        answer = act()
        effects.done(self.session, key, self.claim.id, answer)
        return answer
