"""The request's unit of work: one session, committed once when the answer is below 400, before the answer leaves.

Routes hand `current_session()` to services. A route whose change others must see before it answers (submit, then wait)
calls `commit_request()`. What must happen only once the change is certain goes to `after_commit()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, current_app, g
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.failpoints import failpoint
from app.core.http.problems import on_unforeseen
from app.core.logging import get_logger

log = get_logger(__name__)


def current_session() -> Session:
    """The session of this request, made at the first call; it takes a connection with its first statement."""
    session: Session = _sessions()()
    return session


def after_commit(callback: Callable[[], object]) -> None:
    """Run `callback` after the next successful commit of this request; its failure is logged and changes nothing."""
    _callbacks().append(callback)


def commit_request() -> None:
    """Commit now and run the callbacks; the request may go on in a new transaction. Raises what the database raises."""
    if _has_session() and current_session().in_transaction():
        failpoint("api.commit.before")
        current_session().commit()
        failpoint("api.commit.after")
    for callback in g.pop("after_commit", ()):
        try:
            callback()
        except Exception:  # the change is committed, so the request succeeds whatever this does
            log.exception("request.after_commit_failed")


def rollback_request() -> None:
    """Give up what was not committed, and the callbacks that waited for it; a dead connection is thrown away."""
    g.pop("after_commit", None)
    if not _has_session():
        return
    session = current_session()
    try:
        session.rollback()
    except SQLAlchemyError:
        log.warning("request.rollback_failed")
        session.invalidate()


def install_unit_of_work(app: Flask) -> None:
    """Register the hook last, so that it runs first of all and the others see the final answer."""
    app.after_request(_finish)


def _finish(response: Response) -> Response:
    if response.status_code >= 400:
        rollback_request()
        return response
    try:
        commit_request()
    except Exception as error:  # every failure to commit becomes a problem
        rollback_request()
        return on_unforeseen(error)
    return response


def _sessions() -> Any:
    database: SQLAlchemy = current_app.extensions["sqlalchemy"]
    return database.session


def _has_session() -> bool:
    return bool(_sessions().registry.has())


def _callbacks() -> list[Callable[[], object]]:
    if "after_commit" not in g:
        g.after_commit = []
    waiting: list[Callable[[], object]] = g.after_commit
    return waiting
