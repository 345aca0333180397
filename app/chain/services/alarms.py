"""Alarms, recorded apart from the work they are about."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.chain.queries import alarms
from app.chain.types.indexing import Alarm


def record_alarm(engine: Engine, alarm: Alarm) -> None:
    """Record an alarm in a transaction of its own, committed here.

    An edge hands this in as `Work.alarm`: what looked suspicious is told even when the work itself is rolled back.
    """
    with Session(engine) as session:
        alarms.raise_alarm(session, alarm)
        session.commit()
