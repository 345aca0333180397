"""What a run reads does not grow with what has ended."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, event, text

from app.chain.queries.gauges import GAUGES
from app.chain.services.signers import list_signers
from app.chain.services.transactions import list_transactions
from app.chain.types.transactions import IntentFilter, IntentStatus
from tests.chain_sender.desk import Desk

# Old ends, two a minute: history, of which an hour matters.
HISTORY = """
INSERT INTO chain_intents (id, chain_id, signer, action, subject, purpose, to_address, data, value_wei, status, nonce,
  reserved_block, gas_limit, max_cost_wei, transaction_hash, block_number, block_hash, receipt_status, spent_wei,
  created_at, updated_at, finished_at)
SELECT gen_random_uuid(), :chain_id, :signer, 'old', n::text, 'p', :signer, '', 0, 'final', n, 1, 1, 1, 't', 1, 'b', 1,
  1, moment, moment, moment
FROM generate_series(1, 50000) n, LATERAL (SELECT CAST(:now AS timestamptz) - n * interval '30 seconds' AS moment) t
"""


def test_no_statement_of_a_run_scans_the_history(desk: Desk) -> None:
    with desk.session() as session:
        session.execute(text("ALTER TABLE chain_intents DISABLE TRIGGER chain_intents_guard"))
        values = {"chain_id": desk.policy.chain_id, "signer": desk.signer.address, "now": desk.now}
        session.execute(text(HISTORY), values)
        session.execute(text("ALTER TABLE chain_intents ENABLE TRIGGER chain_intents_guard"))
        session.execute(text("ANALYZE chain_intents"))
        session.commit()
    plans: list[str] = []

    @event.listens_for(desk.engine, "before_cursor_execute")
    def explain(connection: Connection, cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "chain_intents" in statement and "EXPLAIN" not in statement and "INSERT" not in statement:
            raw = connection.connection.cursor()
            raw.execute("EXPLAIN " + statement, parameters)
            plans.extend(line for (line,) in raw.fetchall() if " on chain_intents" in line)

    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.watch(after_seconds=60)
    desk.now += timedelta(seconds=1)
    desk.settle()
    with desk.session() as session:
        for wanted in (
            IntentFilter(),
            IntentFilter(status=IntentStatus.FAILED),
            IntentFilter(action="old"),
            IntentFilter(action="none"),
            IntentFilter(subject="7"),
            IntentFilter(signer=desk.signer.address, status=IntentStatus.FINAL),
        ):
            list_transactions(session, wanted, cursor=None, limit=50)
        list_signers(session, desk.now)
        for gauge in GAUGES:
            session.execute(text(gauge.statement))
    event.remove(desk.engine, "before_cursor_execute", explain)
    assert len(plans) > 10
    assert [plan for plan in plans if "Seq Scan" in plan] == []
