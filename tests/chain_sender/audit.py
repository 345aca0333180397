"""What must hold after any fault: the rows among themselves, and the rows against the chain."""

from __future__ import annotations

from eth_account import Account
from eth_utils.crypto import keccak
from sqlalchemy import text

from app.chain.adapters.rpc import Call
from tests.chain_sender.desk import Desk

# Each statement finds what must not be.
BROKEN_LAWS = {
    "a nonce that was never handed out": """
        SELECT i.id FROM chain_intents i JOIN chain_signers s ON (s.chain_id, s.address) = (i.chain_id, i.signer)
        WHERE i.nonce >= s.next_nonce""",
    "two mined attempts of one intent": """
        SELECT intent_id FROM chain_attempts WHERE outcome = 'mined' GROUP BY intent_id HAVING count(*) > 1""",
    "two mined attempts of one nonce": """
        SELECT nonce FROM chain_attempts WHERE outcome = 'mined' GROUP BY chain_id, signer, nonce
        HAVING count(*) > 1""",
    "two live intents of one subject": """
        SELECT subject FROM chain_intents WHERE finished_at IS NULL GROUP BY chain_id, action, subject
        HAVING count(*) > 1""",
    "two live intents of one nonce": """
        SELECT nonce FROM chain_intents WHERE finished_at IS NULL AND nonce IS NOT NULL
        GROUP BY chain_id, signer, nonce HAVING count(*) > 1""",
    "signed without bytes": """
        SELECT id FROM chain_intents i WHERE status IN ('signed', 'broadcast', 'mined', 'final', 'reverted')
        AND NOT EXISTS (SELECT FROM chain_attempts a WHERE a.intent_id = i.id AND a.nonce = i.nonce)""",
    "mined without a mined attempt": """
        SELECT id FROM chain_intents i WHERE status IN ('mined', 'final', 'reverted') AND NOT EXISTS (
          SELECT FROM chain_attempts a
          WHERE a.intent_id = i.id AND a.hash = i.transaction_hash AND a.outcome IN ('mined', 'lost'))""",
    "a mined attempt of an intent that is not": """
        SELECT intent_id FROM chain_attempts a JOIN chain_intents i ON i.id = a.intent_id
        WHERE a.outcome = 'mined' AND i.transaction_hash IS DISTINCT FROM a.hash""",
    "an end without its event, or with two": """
        SELECT i.id FROM chain_intents i WHERE i.finished_at IS NOT NULL AND 1 <> (
          SELECT count(*) FROM outbox o WHERE o.topic = 'transactions' AND o.subject = i.id::text)""",
    "an event of what has not ended": """
        SELECT o.id FROM outbox o JOIN chain_intents i ON i.id::text = o.subject
        WHERE o.topic = 'transactions' AND (i.finished_at IS NULL OR o.payload->>'status' <> i.status)""",
}


def audit_blocks(desk: Desk) -> int:
    """Read the chain block by block: what the signer sent is what the tables call mined, one by one, and the nonces
    follow each other without a gap. Returns how many there are."""
    head = int(desk.node("eth_blockNumber"), 16)
    blocks = desk.rpc.batch([Call("eth_getBlockByNumber", (hex(number), True)) for number in range(head + 1)])
    sent = [tx for block in blocks for tx in block["transactions"] if tx["from"] == desk.owner.lower()]
    nonces = [int(tx["nonce"], 16) for tx in sent]
    assert nonces == list(range(len(sent))), "a nonce is missing, doubled or out of order"
    with desk.session() as session:
        mined = session.execute(text("SELECT hash FROM chain_attempts WHERE outcome = 'mined' ORDER BY nonce"))
        assert [tx["hash"] for tx in sent] == ["0x" + bytes(row.hash).hex() for row in mined]
    return len(sent)


def audit(desk: Desk, *, settled: bool = True) -> None:
    """Fail when a law is broken. `settled`: also that nothing is live, and that no nonce is missing on the chain."""
    with desk.session() as session:
        for law, statement in BROKEN_LAWS.items():
            assert session.execute(text(statement)).all() == [], law
        attempts = session.execute(text("SELECT * FROM chain_attempts")).all()
        intents = {row.id: row for row in session.execute(text("SELECT * FROM chain_intents"))}
        next_nonce = session.execute(text("SELECT max(next_nonce) FROM chain_signers")).scalar_one()
    on_chain: dict[object, list[bytes]] = {}
    for attempt in attempts:
        raw, transaction_hash = bytes(attempt.raw), bytes(attempt.hash)
        assert keccak(raw) == transaction_hash
        assert Account.recover_transaction(raw) == desk.owner
        receipt = desk.node("eth_getTransactionReceipt", "0x" + transaction_hash.hex())
        if receipt is not None:
            on_chain.setdefault(attempt.intent_id, []).append(transaction_hash)
            intent = intents[attempt.intent_id]
            if intent.finished_at is not None:
                assert transaction_hash == bytes(intent.transaction_hash)
                assert bytes.fromhex(receipt["blockHash"][2:]) == bytes(intent.block_hash)
                assert int(receipt["status"], 16) == intent.receipt_status
    assert all(len(hashes) == 1 for hashes in on_chain.values()), "two transactions of one intent were mined"
    for intent in intents.values():
        if intent.action == "test.hit":
            assert desk.hits(int(intent.subject)) <= 1, f"{intent.subject} was hit twice"
        lost = any(one.intent_id == intent.id and one.outcome == "lost" for one in attempts)
        if intent.status in ("final", "reverted") and not lost:
            assert intent.id in on_chain, f"{intent.id} is {intent.status}, and the chain does not know it"
    if settled:
        live = [row.id for row in intents.values() if row.finished_at is None]
        assert live == [], f"still live: {live}"
        assert next_nonce is None or desk.count() >= next_nonce, "a nonce was handed out and never used"
