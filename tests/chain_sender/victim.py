"""A sender in a process of its own, which kills itself: `victim URL NODE INTENT COMMIT TARGET NOW`, before COMMIT."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Provider
from app.core.db import make_engine
from tests.chain_sender.desk import CHAIN_ID, Desk


def main(url: str, node: str, intent_id: str, number: str, target: str, now: str) -> None:
    """Advance the intent as far as the fatal commit."""
    left = iter(range(int(number) - 1, -1, -1))

    def commit(session: Session) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        session.commit()

    rpc = Provider(f"http://{node}", chain_id=CHAIN_ID)
    desk = Desk(make_engine(url), rpc, target=bytes.fromhex(target))
    desk.now = datetime.fromisoformat(now)
    desk.advance(UUID(intent_id), commit=commit)


def killed(desk: Desk, intent_id: UUID, number: int) -> None:
    """Let a victim advance the intent by the desk's clock, and see that it was killed before commit `number`."""
    url = desk.engine.url.render_as_string(hide_password=False)
    what = [url, desk.rpc.name, str(intent_id), str(number), desk.target.hex(), desk.now.isoformat()]
    command = [sys.executable, "-m", "tests.chain_sender.victim", *what]
    done = subprocess.run(command, env=os.environ, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


if __name__ == "__main__":
    main(*sys.argv[1:])
