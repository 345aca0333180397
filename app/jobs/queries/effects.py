"""Outside effects by their business subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

BEGIN = text(
    """
    INSERT INTO effects (effect_key, job_id, repeatable, phase) VALUES (:key, :job_id, :repeatable, 'sending')
    ON CONFLICT (effect_key) DO NOTHING RETURNING effect_key
    """
)
READ = text("SELECT job_id, repeatable, phase, response FROM effects WHERE effect_key = :key FOR UPDATE")
ADOPT = text("UPDATE effects SET job_id = :job_id WHERE effect_key = :key")
DONE = text(
    """
    UPDATE effects SET phase = 'done', response = :response, done_at = statement_timestamp()
    WHERE effect_key = :key AND job_id = :job_id AND phase = 'sending'
    """
).bindparams(bindparam("response", type_=JSONB))
FORGET = text("DELETE FROM effects WHERE job_id = :job_id AND phase = 'sending'")
SETTLE = text(
    "UPDATE effects SET phase = 'done', done_at = statement_timestamp() WHERE job_id = :job_id AND phase = 'sending'"
)


def begin(session: Session, key: str, job_id: UUID, *, repeatable: bool) -> bool:
    """Write the effect down before it is tried; false when it is there already."""
    values = {"key": key, "job_id": job_id, "repeatable": repeatable}
    return session.scalar(BEGIN, values) is not None


def read(session: Session, key: str) -> Row[Any]:
    """The effect's row, locked."""
    return session.execute(READ, {"key": key}).one()


def adopt(session: Session, key: str, job_id: UUID) -> None:
    """A repeatable effect is tried again by another job."""
    session.execute(ADOPT, {"key": key, "job_id": job_id})


def done(session: Session, key: str, job_id: UUID, response: Mapping[str, Any]) -> None:
    """The effect happened, with this answer."""
    session.execute(DONE, {"key": key, "job_id": job_id, "response": dict(response)})


def forget_unsettled(session: Session, job_id: UUID) -> None:
    """It is known that the job's unsettled effects did not happen."""
    session.execute(FORGET, {"job_id": job_id})


def settle(session: Session, job_id: UUID) -> None:
    """It is known that the job's unsettled effects did happen."""
    session.execute(SETTLE, {"job_id": job_id})
