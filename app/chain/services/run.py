"""What one run of the sender works with; made by `advance` and `watch` from their arguments, handed to each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Provider
from app.chain.types.sending import SenderPolicy

if TYPE_CHECKING:  # eth_account costs every process that loads it half a second
    from app.chain.adapters.signer import Signer


@dataclass(frozen=True, slots=True)
class Run:
    """`rpc` is one provider, pinned for the run. `commit` makes the recorded step durable: it is called before every
    outside effect that depends on the step, and never while the network is waited on."""

    session: Session
    rpc: Provider
    signer: Signer
    policy: SenderPolicy
    now: datetime
    commit: Callable[[], None]

    @property
    def key(self) -> tuple[int, bytes]:
        """Chain and signer: what a signer's row is found by."""
        return self.policy.chain_id, self.signer.address
