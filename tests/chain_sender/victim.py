"""A sender in a process of its own, which kills itself: `victim URL NODE INTENT COMMIT TARGET` dies before COMMIT."""

from __future__ import annotations

import os
import signal
import sys
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Provider
from app.core.db import make_engine
from tests.chain_sender.desk import CHAIN_ID, Desk


def main(url: str, node: str, intent_id: str, number: str, target: str) -> None:
    """Advance the intent as far as the fatal commit."""
    left = iter(range(int(number) - 1, -1, -1))

    def commit(session: Session) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        session.commit()

    rpc = Provider(f"http://{node}", chain_id=CHAIN_ID)
    Desk(make_engine(url), rpc, target=bytes.fromhex(target)).advance(UUID(intent_id), commit=commit)


if __name__ == "__main__":
    main(*sys.argv[1:])
