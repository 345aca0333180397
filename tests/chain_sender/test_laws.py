"""What the database refuses, whatever the code does."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.chain.models import ChainAttempt, ChainIntent, ChainSigner
from app.chain.types.transactions import LIVE, TERMINAL, TRANSITIONS, IntentStatus
from app.core.db import Base, new_id

WITH_NONCE = {"nonce": 3, "gas_limit": 1, "max_cost_wei": 1, "reserved_block": 1}
NO_NONCE = dict.fromkeys(WITH_NONCE)
INCLUDED = {"transaction_hash": b"t" * 32, "block_number": 1, "block_hash": b"b" * 32, "receipt_status": 1}
NOT_INCLUDED = dict.fromkeys(INCLUDED)
COLUMNS = [*WITH_NONCE, *INCLUDED, "spent_wei", "finished_at"]


def shape(status: IntentStatus, *, had_nonce: bool) -> dict[str, object]:
    """Columns as they must be in `status`."""
    unsent = status in {IntentStatus.PLANNED, IntentStatus.FAILED, IntentStatus.REHEARSED}
    owns = not unsent and (status is not IntentStatus.CANCELLED or had_nonce)
    mined = status in {IntentStatus.MINED, IntentStatus.FINAL, IntentStatus.REVERTED}
    included = mined or (status is IntentStatus.CANCELLED and owns)
    values = (WITH_NONCE if owns else NO_NONCE) | (INCLUDED if included else NOT_INCLUDED)
    if status is IntentStatus.REVERTED:
        values = values | {"receipt_status": 0}
    ended = status in TERMINAL
    return values | {"spent_wei": 1 if ended and included else None, "finished_at": "2026-01-01" if ended else None}


def insert(session: Session, status: IntentStatus = IntentStatus.PLANNED, subject: str = "s", **changes: object):  # type: ignore[no-untyped-def]
    """An intent, walked to `status` past the trigger that holds the transitions."""
    intent_id = new_id()
    values = shape(status, had_nonce=False) | changes
    session.execute(text("ALTER TABLE chain_intents DISABLE TRIGGER chain_intents_guard"))
    session.execute(
        text(f"""
        INSERT INTO chain_intents (id, chain_id, signer, action, subject, purpose, to_address, data, value_wei, status,
          {", ".join(COLUMNS)}, created_at, updated_at)
        VALUES (:id, 1, :signer, 'a', :subject, 'p', :signer, '', 0, :status,
          {", ".join(":" + name for name in COLUMNS)}, now(), now())"""),  # noqa: S608 - our own column list
        values | {"id": intent_id, "signer": b"\1" * 20, "subject": subject, "status": status},
    )
    session.execute(text("ALTER TABLE chain_intents ENABLE TRIGGER chain_intents_guard"))
    return intent_id


def move(session: Session, intent_id: object, status: IntentStatus, **changes: object) -> None:
    values = shape(status, had_nonce=False) | changes
    sets = ", ".join(f"{name} = :{name}" for name in COLUMNS)
    session.execute(
        text(f"UPDATE chain_intents SET status = :status, {sets} WHERE id = :id"),  # noqa: S608 - our own column list
        values | {"id": intent_id, "status": status},
    )


@pytest.mark.parametrize("before", IntentStatus)
def test_the_trigger_holds_the_transition_table(session: Session, before: IntentStatus) -> None:
    for after in set(IntentStatus) - {before}:
        intent_id = insert(session, before)
        had_nonce = before in LIVE - {IntentStatus.PLANNED} and after is not IntentStatus.CANCELLED
        values = shape(after, had_nonce=had_nonce)
        if after in TRANSITIONS[before]:
            move(session, intent_id, after, **values)
        else:
            with pytest.raises(IntegrityError, match=r"no transition|has ended"):
                move(session, intent_id, after, **values)
        session.rollback()


def test_what_has_ended_does_not_change(session: Session) -> None:
    for status in TERMINAL:
        intent_id = insert(session, status)
        with pytest.raises(IntegrityError, match="has ended"):
            session.execute(text("UPDATE chain_intents SET purpose = 'other' WHERE id = :id"), {"id": intent_id})
        session.rollback()


def test_an_intent_begins_at_the_beginning(session: Session) -> None:
    begin = text("""
        INSERT INTO chain_intents (id, chain_id, signer, action, subject, purpose, to_address, data, value_wei, status,
          created_at, updated_at)
        VALUES (:id, 1, :signer, 'a', 's', 'p', :signer, '', 0, :status, now(), now())""")
    for status in set(IntentStatus) - {IntentStatus.PLANNED, IntentStatus.RESERVED}:
        with pytest.raises(IntegrityError, match="begins as"):
            session.execute(begin, {"id": new_id(), "signer": b"\1" * 20, "status": status})
        session.rollback()


def test_a_nonce_is_not_exchanged_for_another(session: Session) -> None:
    intent_id = insert(session, IntentStatus.BROADCAST)
    with pytest.raises(IntegrityError, match="may not give up"):
        session.execute(text("UPDATE chain_intents SET nonce = 4 WHERE id = :id"), {"id": intent_id})


def _attempt(session: Session, intent_id: object, number: int, outcome: str = "sent", nonce: int = 3) -> None:
    session.execute(
        text("""INSERT INTO chain_attempts (intent_id, number, chain_id, signer, nonce, effect, hash, raw, gas_limit,
          max_fee_wei, tip_wei, created_at, outcome) VALUES (:id, :number, 1, :signer, :nonce, 'call', :hash, '', 1,
          1, 1, now(), :outcome)"""),
        {"id": intent_id, "number": number, "signer": b"\1" * 20, "nonce": nonce, "hash": new_id().bytes * 2}
        | {"outcome": outcome},
    )


def test_a_nonce_is_not_given_up_while_its_transaction_is_mined(session: Session) -> None:
    intent_id = insert(session, IntentStatus.BROADCAST)
    _attempt(session, intent_id, 1, "mined")
    with pytest.raises(IntegrityError, match="may not give up"):
        move(session, intent_id, IntentStatus.PLANNED)


def test_one_mined_attempt_an_intent_and_one_a_nonce(session: Session) -> None:
    one, other = insert(session, IntentStatus.FINAL, "one"), insert(session, IntentStatus.FINAL, "other")
    _attempt(session, one, 1, "mined")
    session.commit()
    for intent_id, nonce in ((one, 4), (other, 3)):
        with pytest.raises(IntegrityError, match="uq_chain_attempts_mined"):
            _attempt(session, intent_id, 2, "mined", nonce)
        session.rollback()


def test_one_live_intent_a_subject_and_one_a_nonce(session: Session) -> None:
    insert(session, IntentStatus.FINAL, "s")
    insert(session, IntentStatus.BROADCAST, "s")
    session.commit()
    with pytest.raises(IntegrityError, match="uq_chain_intents_live_subject"):
        insert(session, IntentStatus.PLANNED, "s")
    session.rollback()
    with pytest.raises(IntegrityError, match="uq_chain_intents_live_nonce"):
        insert(session, IntentStatus.RESERVED, "t")


@pytest.mark.parametrize(
    "change", ["raw = 'x'", "nonce = 9", "effect = 'cancel'", "hash = decode(repeat('00',32),'hex')"]
)
def test_signed_bytes_never_change(session: Session, change: str) -> None:
    intent_id = insert(session, IntentStatus.BROADCAST)
    _attempt(session, intent_id, 1)
    with pytest.raises(IntegrityError, match="does not change"):
        session.execute(text(f"UPDATE chain_attempts SET {change}"))  # noqa: S608 - the parameters above


def test_the_next_nonce_never_falls(session: Session) -> None:
    session.execute(
        text(
            "INSERT INTO chain_signers (chain_id, address, next_nonce, seen_block, created_at)"
            " VALUES (1, :signer, 5, 0, now())"
        ),
        {"signer": b"\1" * 20},
    )
    with pytest.raises(IntegrityError, match="never falls"):
        session.execute(text("UPDATE chain_signers SET next_nonce = 4"))


def test_the_models_say_what_the_migration_does(session: Session) -> None:
    """Checks, and the conditions of partial indexes: Alembic compares neither."""
    tables = [model.__table__ for model in (ChainIntent, ChainAttempt, ChainSigner)]
    session.execute(text("CREATE SCHEMA scratch"))
    connection = session.connection().execution_options(schema_translate_map={None: "scratch"})
    Base.metadata.create_all(connection, tables=tables)
    assert _laws(session, "scratch") == _laws(session, "public")


def _laws(session: Session, schema: str) -> set[str]:
    """The definitions of checks and indexes on the sender's tables."""
    found = session.execute(
        text("""
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE contype = 'c' AND connamespace = to_regnamespace(:schema)
          AND conname ~ '^ck_chain_(intents|attempts|signers)_'
        UNION ALL
        SELECT indexdef FROM pg_indexes
        WHERE schemaname = :schema AND tablename IN ('chain_intents', 'chain_attempts', 'chain_signers')"""),
        {"schema": schema},
    )
    return {line.replace(f"{schema}.", "") for line in found.scalars()}
