"""How far the chain's contract sets are, what alarms there are, and what audits found."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.queries import audits, reading
from app.chain.types.providers import Audit
from app.chain.types.reading import Progress, RaisedAlarm
from app.core.paging import Page, decode_cursor, page_of

SETS = "chain_contract_sets"
ALARMS = "chain_alarms"
AUDITS = "chain_audits"


def find_progress(session: Session, chain_id: int, name: str) -> Progress | None:
    """How far the contract set `name` is indexed; None when nothing of it was ever read."""
    return reading.find_progress(session, chain_id, name)


def list_progress(session: Session, *, cursor: str | None, limit: int) -> Page[Progress]:
    """A page of all contract sets, by chain and name; raises InvalidInput for a bad cursor."""
    key = decode_cursor(SETS, (int, str), cursor)
    rows = reading.list_progress(session, after=None if key is None else (key[0], key[1]), limit=limit + 1)
    return page_of(rows, limit=limit, listing=SETS, key=lambda row: (row.chain_id, row.name))


def list_alarms(session: Session, *, only_open: bool, cursor: str | None, limit: int) -> Page[RaisedAlarm]:
    """A page of alarms, newest first; raises InvalidInput for a bad cursor."""
    key = decode_cursor(ALARMS, (UUID,), cursor)
    rows = reading.list_alarms(session, before=None if key is None else key[0], only_open=only_open, limit=limit + 1)
    return page_of(rows, limit=limit, listing=ALARMS, key=lambda row: (row.id,))


def list_audits(session: Session, *, differing: bool, cursor: str | None, limit: int) -> Page[Audit]:
    """A page of audits, newest first, with `differing` of those that found something; raises InvalidInput."""
    key = decode_cursor(AUDITS, (UUID,), cursor)
    before = None if key is None else key[0]
    rows = audits.list_audits(session, before=before, differing=differing, limit=limit + 1)
    return page_of(rows, limit=limit, listing=AUDITS, key=lambda row: (row.id,))
