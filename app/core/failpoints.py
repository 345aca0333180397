"""Named places where a test lets a process die, freeze or hang, to prove that nothing is lost or doubled there.

Nothing is armed unless `FAILPOINT__NAME` is set, which production refuses; then `failpoint()` is one comparison.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event

POINTS = {
    "sql.before": "any statement, not sent yet",
    "sql.after": "any statement, answered; one that commits by itself has committed",
    "api.commit.before": "a request's changes are written",
    "api.commit.after": "they are committed, nobody was answered or woken",
    "dispatch.publish.before": "jobs are marked as published, no message went out",
    "dispatch.publish.after": "the messages are out",
    "outbox.publish.before": "events are numbered, not in the stream",
    "outbox.publish.after": "they are in the stream, and not marked so",
    "worker.claim.before": "a message has come, its jobs are not claimed",
    "worker.claim.after": "they are claimed, the body has not begun",
    "worker.step.before": "a step of a long job is written",
    "worker.step.after": "it is committed",
    "worker.finish.before": "the body is through, its outcome not written",
    "worker.finish.written": "the outcome is written, not committed",
    "worker.finish.after": "it is committed",
    "worker.heartbeat": "the lease is about to be extended",
    "beat.commit.before": "slots and jobs are written",
    "beat.commit.after": "they are committed",
    "sender.intent.before": "a transaction is wanted, its intent not written",
    "sender.reserved": "a nonce is reserved and committed, nothing is signed",
    "sender.signed": "a transaction is signed, its bytes not written",
    "sender.broadcast.before": "a signed transaction is persisted, the node has not seen it",
    "sender.broadcast.after": "the node has answered, its answer not written",
    "sender.confirm.before": "what the chain shows is written, not committed",
}
STATEMENTS = {"sql.before": "before_cursor_execute", "sql.after": "after_cursor_execute"}


@dataclass
class _Strike:
    """The armed point of this process. It strikes at its n-th passing, and once for all processes sharing a file."""

    name: str
    hit: int
    action: Callable[[], Any]
    once_file: str | None
    passed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def pass_by(self) -> None:
        with self._lock:
            self.passed += 1
            due = self.passed == self.hit
        if due and self._is_first():
            self.action()

    def _is_first(self) -> bool:
        if self.once_file is None:
            return True
        try:
            os.close(os.open(self.once_file, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


# One a process, like the process's signal handlers: a death concerns all of it.
_strike: _Strike | None = None


def failpoint(name: str) -> None:
    """A place where the armed process ends; nothing anywhere else."""
    if _strike is not None and _strike.name == name:
        _strike.pass_by()


def arm(*, name: str | None, hit: int, action: str, once_file: str | None) -> None:
    """Set the process's failpoint (`FAILPOINT__*`); raises ValueError for a name that is not in POINTS."""
    global _strike
    if name is None:
        return
    if name not in POINTS:
        raise ValueError(f"there is no failpoint {name!r}: one of {', '.join(POINTS)}")
    if name in STATEMENTS:
        # On every engine of the process, so that each statement boundary is a place to die.
        event.listen(Engine, STATEMENTS[name], lambda *_: failpoint(name))
    _strike = _Strike(name, hit, ACTIONS[action], once_file)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_worker() -> None:
    """A Celery pool child takes its worker with it, as the machine's death would."""
    os.kill(os.getppid(), signal.SIGKILL)
    _kill()


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _hang() -> None:
    threading.Event().wait()


ACTIONS: dict[str, Callable[[], Any]] = {"kill": _kill, "kill_worker": _kill_worker, "stop": _stop, "hang": _hang}
