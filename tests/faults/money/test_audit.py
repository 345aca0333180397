"""The auditor of money sees what it is there for: each trouble is planted in true books, and named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.chain.types.transactions import IntentStatus
from tests.chain_sender.desk import Desk
from tests.faults.money.audit import Findings, audit
from tests.faults.money.chain import CONFIRMATIONS, Chain
from tests.faults.money.kinds import ACTION, amount_wei

pytestmark = pytest.mark.chain
KEYS = (1, 2, 3)


@pytest.fixture
def chain(anvil_binary: Path, tmp_path: Path) -> Iterator[Chain]:
    """A chain of the storms."""
    chain = Chain(anvil_binary, tmp_path)
    yield chain
    chain.stop()


@pytest.fixture
def desk(engine: Engine, chain: Chain) -> Desk:
    """Three payments, sent and final."""
    desk = Desk(engine, chain.rpc, target=chain.target)
    for key in KEYS:
        desk.advance(desk.plan(key, action=ACTION, value_wei=amount_wei(key)))
    chain.mine(CONFIRMATIONS + 1)
    desk.watch()
    return desk


def judged(desk: Desk, chain: Chain, *keys: int) -> Findings:
    """What the auditor says of the three payments, and of `keys`."""
    return audit(desk.engine, chain, dict.fromkeys((*KEYS, *keys), False))


def test_true_books_are_clean(desk: Desk, chain: Chain) -> None:
    assert judged(desk, chain) == Findings()


def test_a_payment_that_nobody_recorded_is_lost(desk: Desk, chain: Chain) -> None:
    assert judged(desk, chain, 4).lost == {4}


def test_a_payment_that_failed_is_lost_unless_it_may_expire(desk: Desk, chain: Chain) -> None:
    desk.cancel(desk.plan(4, action=ACTION))
    assert judged(desk, chain, 4).lost == {4}
    assert audit(desk.engine, chain, dict.fromkeys(KEYS, False) | {4: True}) == Findings()


def test_a_payment_planned_and_mined_again_is_doubled(desk: Desk, chain: Chain) -> None:
    again = desk.plan(2, action=ACTION, value_wei=amount_wei(2))
    desk.advance(again)
    chain.mine(CONFIRMATIONS + 1)
    desk.watch()
    assert desk.status(again) is IntentStatus.FINAL
    assert judged(desk, chain).doubled == {2}


def test_a_nonce_handed_out_and_never_used_is_missing(desk: Desk, chain: Chain) -> None:
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE chain_signers SET next_nonce = next_nonce + 1"))
    assert judged(desk, chain).missing == {3}


def test_a_transaction_of_which_the_tables_know_nothing_is_seen(desk: Desk, chain: Chain) -> None:
    sent = desk.send_from(desk.owner, to=desk.owner, value="0x0")
    chain.mine()
    others = judged(desk, chain).others
    assert f"mined, and not in the tables: {sent[2:]}" in others
    assert "the node counts 4 transactions, the row 3" in others


def test_a_wei_too_little_is_seen(desk: Desk, chain: Chain) -> None:
    with desk.engine.begin() as connection:
        connection.execute(text("ALTER TABLE chain_intents DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE chain_intents SET spent_wei = spent_wei - 1 WHERE subject = '1'"))
    (only,) = judged(desk, chain).others
    assert only.startswith("spent ")
