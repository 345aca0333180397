"""Ending a read before the network is waited on, without losing anybody's writes."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.db import release


def test_a_read_is_ended(session: Session) -> None:
    session.execute(text("SELECT 1"))
    release(session)
    assert not session.in_transaction()
    release(session)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO outbox (id, topic, subject, payload) VALUES (gen_random_uuid(), 't', 's', '{}')",
        "CREATE TABLE made (id int)",
    ],
)
def test_a_write_is_not_lost(session: Session, statement: str) -> None:
    session.execute(text(statement))
    with pytest.raises(RuntimeError, match="nobody committed"):
        release(session)
    assert session.in_transaction()
