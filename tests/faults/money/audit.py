"""The auditor of money: the tables among themselves, the chain by itself, and each against the other, to the wei.

It reads the chain block by block rather than by the hashes that the tables know: what only the chain knows of is what
it looks for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, text

from tests.chain_sender.audit import BROKEN_LAWS
from tests.faults.money.chain import Chain
from tests.faults.money.kinds import ACTION, amount_wei

INTENTS = "SELECT * FROM chain_intents"
ATTEMPTS = "SELECT intent_id, nonce, effect, hash, outcome FROM chain_attempts"
SIGNERS = "SELECT next_nonce, halt_reason, breaker_reason FROM chain_signers"
ALARMS = "SELECT kind, subject FROM chain_alarms"


@dataclass
class Findings:
    """What is wrong. `lost` and `doubled` are keys of payments, `missing` are nonces."""

    lost: set[int] = field(default_factory=set)
    doubled: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    others: list[str] = field(default_factory=list)


class Books:
    """Tables and chain as they are now."""

    def __init__(self, engine: Engine, chain: Chain):
        self.chain = chain
        with engine.connect() as connection:
            self.intents = connection.execute(text(INTENTS)).all()
            self.attempts = connection.execute(text(ATTEMPTS)).all()
            self.signers = connection.execute(text(SIGNERS)).all()
            self.alarms = connection.execute(text(ALARMS)).all()
            self.broken_laws = [law for law, query in BROKEN_LAWS.items() if connection.execute(text(query)).first()]
        self.mined = chain.sent_by_owner()
        self.payments: dict[int, list[Any]] = {}
        for intent in self.intents:
            if intent.action == ACTION:
                self.payments.setdefault(int(intent.subject), []).append(intent)


def audit(engine: Engine, chain: Chain, wanted: Mapping[int, bool]) -> Findings:
    """Judge the payments that were accepted, by key and whether they may expire, and all else that the signer did."""
    books, found = Books(engine, chain), Findings()
    _judge_payments(books, wanted, found)
    _judge_nonces(books, found)
    _judge_attempts(books, found)
    _judge_balances(books, found)
    found.others += books.broken_laws
    found.others += [f"alarm: {alarm.kind} of {alarm.subject}" for alarm in books.alarms]
    found.others += [f"nobody asked to pay {key}" for key in books.payments.keys() - wanted.keys()]
    return found


def _judge_payments(books: Books, wanted: Mapping[int, bool], found: Findings) -> None:
    """Each has one intent, which is final and moved money once; or it expired, is cancelled, and moved none."""
    carried = Counter(_key(transaction) for transaction in books.mined)
    for key, expires in wanted.items():
        intents = books.payments.get(key, [])
        if carried[key] > 1 or len(intents) > 1:
            found.doubled.add(key)
        ends = ("final", "cancelled") if expires else ("final",)
        paid = [intent for intent in intents if intent.status == "final"]
        if len(intents) != 1 or intents[0].status not in ends or carried[key] < len(paid):
            found.lost.add(key)
        if carried[key] > len(paid):
            found.others.append(f"payment {key} was mined, and the tables say it was not")


def _judge_nonces(books: Books, found: Findings) -> None:
    """The chain's nonces follow each other from 0, and the signer's row has handed out exactly these."""
    used = [int(transaction["nonce"], 16) for transaction in books.mined]
    handed_out = books.signers[0].next_nonce if books.signers else 0
    found.missing |= set(range(max([handed_out, *[nonce + 1 for nonce in used]]))) - set(used)
    if used != sorted(set(used)):
        found.others.append("a nonce was mined twice, or out of order")
    if books.chain.count() != handed_out:
        found.others.append(f"the node counts {books.chain.count()} transactions, the row {handed_out}")
    found.others += [f"the signer is stopped: {row}" for row in books.signers if row.halt_reason or row.breaker_reason]


def _judge_attempts(books: Books, found: Findings) -> None:
    """What is on the chain is what the tables call mined, and an intent never had a second nonce."""
    on_chain = {bytes.fromhex(transaction["hash"][2:]) for transaction in books.mined}
    said = {bytes(attempt.hash) for attempt in books.attempts if attempt.outcome == "mined"}
    found.others += [f"mined, and not in the tables: {one.hex()}" for one in on_chain - said]
    found.others += [f"mined in the tables only: {one.hex()}" for one in said - on_chain]
    nonces: dict[Any, set[int]] = {}
    for attempt in books.attempts:
        nonces.setdefault(attempt.intent_id, set()).add(attempt.nonce)
    # Nobody else has the key, so there can be no proof for a second one.
    found.others += [f"intent {intent} had the nonces {sorted(of)}" for intent, of in nonces.items() if len(of) > 1]


def _judge_balances(books: Books, found: Findings) -> None:
    """What the payments moved, and what the signer spent, exact in wei."""
    chain = books.chain
    paid = sum(amount_wei(key) for key, intents in books.payments.items() for one in intents if one.status == "final")
    spent = sum(int(intent.spent_wei or 0) for intent in books.intents)
    for what, is_wei, should_wei in (
        ("received", chain.balance_wei(chain.target), paid),
        ("spent", chain.first_balance_wei - chain.balance_wei(chain.owner), spent),
    ):
        if is_wei != should_wei:
            found.others.append(f"{what} {is_wei} wei, the tables say {should_wei}")


def _key(transaction: Any) -> int | None:
    """The key that a transaction pays; None for one that pays nothing."""
    return int(transaction["input"][10:], 16) if len(transaction["input"]) > 2 else None
