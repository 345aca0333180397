"""A projection for the tests: sums by account, folded from Moved events, with its own table of what it folded."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.errors import MalformedEvent
from app.chain.types.blocks import Event, Log

TABLES = """
CREATE TABLE test_moves (
    chain_id bigint, block_number bigint, log_index int, account numeric, amount numeric, mined_at timestamptz,
    PRIMARY KEY (chain_id, block_number, log_index)
);
CREATE TABLE test_sums (chain_id bigint, account numeric, total numeric, moves int, PRIMARY KEY (chain_id, account))
"""


class Ledger:
    """Each event must be applied exactly once: the primary key sees to it. Moves of a `refused` account it does not
    take.
    """

    def __init__(self, chain_id: int, refused: Sequence[int] = ()):
        self.chain_id = chain_id
        self.refused = refused

    def apply(self, session: Session, events: Sequence[Event]) -> None:
        """Add the moves to the sums."""
        if any(map(self.refusal, events)):
            raise MalformedEvent
        for event in events:
            if event.name != "Moved":
                continue
            place = {"chain_id": self.chain_id, "block": event.log.block_number, "index": event.log.log_index}
            values = place | {"account": event.args["account"], "amount": event.args["amount"], "at": event.mined_at}
            session.execute(
                text("INSERT INTO test_moves VALUES (:chain_id, :block, :index, :account, :amount, :at)"), values
            )
            session.execute(
                text(
                    "INSERT INTO test_sums VALUES (:chain_id, :account, :amount, 1) ON CONFLICT (chain_id, account)"
                    " DO UPDATE SET total = test_sums.total + excluded.total, moves = test_sums.moves + 1"
                ),
                values,
            )

    def refusal(self, event: Event) -> str | None:
        """By its account."""
        account = event.args.get("account")
        return f"account {account}" if account in self.refused else None

    def rollback(self, session: Session, chain_id: int, from_block: int) -> None:
        """Fold the touched accounts again from what remains."""
        gone = "chain_id = :chain_id AND block_number >= :from_block"
        self._fold_again(session, gone, {"chain_id": chain_id, "from_block": from_block})

    def forget(self, session: Session, chain_id: int, logs: Sequence[Log]) -> None:
        """The same for single moves."""
        for log in logs:
            gone = "chain_id = :chain_id AND block_number = :block AND log_index = :index"
            values = {"chain_id": chain_id, "block": log.block_number, "index": log.log_index}
            self._fold_again(session, gone, values)

    def _fold_again(self, session: Session, gone: str, values: dict[str, int]) -> None:
        touched = session.scalars(text(f"DELETE FROM test_moves WHERE {gone} RETURNING account"), values).all()  # noqa: S608
        accounts = {"chain_id": values["chain_id"], "accounts": list(touched)}
        session.execute(text("DELETE FROM test_sums WHERE chain_id = :chain_id AND account = ANY(:accounts)"), accounts)
        session.execute(
            text(
                "INSERT INTO test_sums SELECT chain_id, account, sum(amount), count(*) FROM test_moves"
                " WHERE chain_id = :chain_id AND account = ANY(:accounts) GROUP BY chain_id, account"
            ),
            accounts,
        )
