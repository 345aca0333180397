"""A sender's desk for tests: a real node, a real database, a clock that the test moves, and a target contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session
from vyper import compile_code

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.adapters.signer import Signer, sender_policy
from app.chain.services.sender import advance
from app.chain.services.signers import get_signer, resume_signer
from app.chain.services.transactions import cancel_transaction, get_intent, list_attempts, plan_transaction
from app.chain.services.watcher import watch
from app.chain.types.sending import SenderPolicy, SignerState, WatchReport
from app.chain.types.transactions import Attempt, Intent, IntentStatus
from config.groups import ChainSettings

CHAIN_ID = 31339
# Anvil's first two development keys, known to everyone.
OWNER_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OTHER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
POLICY = sender_policy(ChainSettings(confirmations=2, max_spend_per_hour_wei=10**20))


class Crash(BaseException):
    """The process is gone. A BaseException, so that nothing handles it on its way."""


@cache
def target_bytecode() -> str:
    """The target contract, compiled once a run."""
    source = (Path(__file__).parent / "target.vy").read_text()
    return str(compile_code(source, output_formats=["bytecode"])["bytecode"])


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def hit(key: int) -> bytes:
    """The call data of `hit(key)`."""
    return keccak(text="hit(uint256)")[:4] + word(key)


class Desk:
    """Plans, advances, watches, and looks at the chain. `now` moves when the test says so."""

    def __init__(self, engine: Engine, rpc: Provider, policy: SenderPolicy = POLICY, target: bytes | None = None):
        self.engine = engine
        self.rpc = rpc
        self.policy = policy
        self.signer = Signer(Account.from_key(OWNER_KEY))
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.target = target or self._deploy()

    def with_policy(self, **changes: Any) -> Desk:
        """The same desk under other limits."""
        desk = Desk(self.engine, self.rpc, replace(self.policy, **changes), self.target)
        desk.now = self.now
        return desk

    def through(self, rpc: Provider) -> Desk:
        """The same desk, its node reached another way."""
        desk = Desk(self.engine, rpc, self.policy, self.target)
        desk.now = self.now
        return desk

    @contextmanager
    def session(self) -> Iterator[Session]:
        with Session(self.engine) as session:
            yield session

    def plan(self, key: int = 1, **changes: Any) -> UUID:
        """Plan and commit `hit(key)`; its subject is the key, unless said otherwise."""
        with self.session() as session:
            intent_id = self.plan_in(session, key, **changes)
            session.commit()
        return intent_id

    def plan_in(self, session: Session, key: int, **changes: Any) -> UUID:
        """Plan in the caller's transaction."""
        values: dict[str, Any] = {
            "chain_id": CHAIN_ID,
            "signer": self.signer.address,
            "action": "test.hit",
            "subject": str(key),
            "purpose": "a test",
            "to": self.target,
            "data": hit(key),
            "now": self.now,
        }
        return plan_transaction(session, **(values | changes))

    def advance(self, *intent_ids: UUID, commit: Callable[[Session], None] = Session.commit) -> list[Intent]:
        with self.session() as session:
            return advance(
                session,
                intent_ids,
                rpc=self.rpc,
                signer=self.signer,
                policy=self.policy,
                now=self.now,
                commit=lambda: commit(session),
            )

    def watch(self, after_seconds: float = 0, commit: Callable[[Session], None] = Session.commit) -> WatchReport:
        """One tick, `after_seconds` later."""
        self.now += timedelta(seconds=after_seconds)
        with self.session() as session:
            return watch(
                session,
                rpc=self.rpc,
                signer=self.signer,
                policy=self.policy,
                now=self.now,
                commit=lambda: commit(session),
            )

    def intent(self, intent_id: UUID) -> Intent:
        with self.session() as session:
            return get_intent(session, intent_id)

    def status(self, intent_id: UUID) -> IntentStatus:
        return self.intent(intent_id).status

    def error(self, intent_id: UUID) -> str | None:
        """The code of what last held the intent up."""
        error = self.intent(intent_id).error
        return None if error is None else str(error["code"])

    def attempts(self, intent_id: UUID) -> list[Attempt]:
        with self.session() as session:
            return list_attempts(session, intent_id)

    def cancel(self, intent_id: UUID) -> None:
        with self.session() as session:
            cancel_transaction(session, intent_id, now=self.now)
            session.commit()

    def signer_state(self) -> SignerState:
        with self.session() as session:
            return get_signer(session, CHAIN_ID, self.signer.address)

    def resume(self) -> None:
        with self.session() as session:
            resume_signer(session, providers=Providers([self.rpc]), chain_id=CHAIN_ID, address=self.signer.address)
            session.commit()

    def open_alarms(self) -> list[str]:
        with self.session() as session:
            return list(session.execute(text("SELECT kind FROM chain_alarms WHERE resolved_at IS NULL")).scalars())

    def settle(self) -> None:
        """Mine until what is mined is final, and record it."""
        self.mine(self.policy.confirmations + 1)
        self.watch()

    # The node's side.

    def node(self, method: str, *params: Any) -> Any:
        return self.rpc.call(method, *params)

    def mine(self, blocks: int = 1) -> None:
        """Blocks come only from here: the node's own mining answers before the block is there."""
        for _ in range(blocks):
            self.node("evm_mine")

    def hits(self, key: int) -> int:
        """How often the chain has seen `hit(key)`."""
        data = keccak(text="hits(uint256)")[:4] + word(key)
        return int(self.node("eth_call", {"to": "0x" + self.target.hex(), "data": "0x" + data.hex()}, "latest"), 16)

    def base_fee(self, gwei: int) -> None:
        """Mine a block at this base fee: it takes from the pool only what pays that."""
        self.node("anvil_setNextBlockBaseFeePerGas", hex(gwei * 10**9))
        self.mine()

    def forget(self) -> None:
        """The node loses its pool."""
        self.node("anvil_dropAllTransactions")

    def reorg(self, depth: int, *raws: bytes) -> None:
        """Replace the newest blocks; the first of the new ones holds `raws`, the others nothing."""
        self.node("anvil_reorg", depth, [["0x" + raw.hex(), 0] for raw in raws])

    def close_target(self, *, tip_gwei: int = 1) -> None:
        """Shut the target from another account, in a transaction that pays this tip."""
        data = keccak(text="close(bool)")[:4] + word(1)
        fees = {"maxPriorityFeePerGas": hex(tip_gwei * 10**9), "maxFeePerGas": hex((tip_gwei + 10) * 10**9)}
        self.send_from(OTHER, to=to_checksum_address(self.target), data="0x" + data.hex(), gas="0x186a0", **fees)

    def send_from(self, account: str, **fields: Any) -> str:
        """A transaction that the node signs for one of its own accounts."""
        return str(self.node("eth_sendTransaction", {"from": account} | fields))

    @property
    def owner(self) -> str:
        return str(to_checksum_address(self.signer.address))

    def count(self, block: str = "latest") -> int:
        """The signer's transaction count."""
        return int(self.node("eth_getTransactionCount", self.owner, block), 16)

    def _deploy(self) -> bytes:
        sent = self.send_from(OTHER, data=target_bytecode())
        self.mine()
        address = self.node("eth_getTransactionReceipt", sent)["contractAddress"]
        return bytes.fromhex(address[2:])


def crash_at(number: int, *, before: bool) -> Callable[[Session], None]:
    """A commit that kills the run at the `number`th commit, before it or just after it."""
    counted = iter(range(1, 1000))

    def commit(session: Session) -> None:
        due = next(counted) == number
        if due and before:
            raise Crash
        session.commit()
        if due:
            raise Crash

    return commit
