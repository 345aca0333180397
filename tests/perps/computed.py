"""Our exchange with its funding settled by ourselves: the same events, without those that say what funding is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.blocks import Event
from app.chain.types.protocols import Protocol
from app.oracle.types.prices import Action, ActionRule, Rules
from app.perps.services.protocols import perps_protocols
from app.perps.services.slots import Settled, settle_due
from app.perps.types.protocol import PerpsProtocol
from contracts.feeds import FEEDS
from tests.perps.history import CHAIN_ID, GENESIS, PROTOCOL_FILE, History, Said, our_protocol

SLOT_SECONDS = 60
RULES = Rules({action: ActionRule(30, 100) for action in Action}, 5)
OURS = ("entry_funding_index", "funding_paid")


def computed_table(table: dict[str, Any]) -> dict[str, Any]:
    """`[perps]` of our file, with us for the authority."""
    table["funding"] |= {"authority": "computed", "slot_seconds": SLOT_SECONDS}
    table["events"] = [rule for rule in table["events"] if rule["effect"] != "funding"]
    for rule in table["events"]:
        rule["fields"] = {name: field for name, field in rule["fields"].items() if name not in OURS}
    table["keeper"].pop("settle_funding")
    return table


@cache
def computed_protocol() -> PerpsProtocol:
    ours = our_protocol()
    table = computed_table(ours.section.model_dump(mode="json", by_alias=True))
    (found,) = perps_protocols([Protocol(ours.name, ours.contracts, ours.contract_set, {"perps": table})])
    return found


def computed_file(folder: Path) -> Path:
    """The same as a file."""
    lines, keep = [], True
    for line in PROTOCOL_FILE.read_text().splitlines():
        if line == "[[perps.events]]":
            keep = True
        if line == 'event = "perp.FundingSettled"':
            lines.pop()
            keep = False
        named = line.split(" = ")[0]
        if keep and named not in (*OURS, "settle_funding"):
            lines.append(line)
    said = "\n".join(lines).replace('    "FundingSettled",\n', "")
    said = said.replace('authority = "chain"', f'authority = "computed", slot_seconds = {SLOT_SECONDS}')
    file = folder / PROTOCOL_FILE.name
    file.write_text(said.replace("../../contracts", str(PROTOCOL_FILE.parents[2] / "contracts")))
    return file


def at(block: int) -> datetime:
    return datetime.fromtimestamp(GENESIS + 12 * block, UTC)


class Clocked(History):
    """A history whose blocks are kept, indexed and, as far as told, final; prices are what a test records."""

    def __init__(self, session: Session, protocol: PerpsProtocol | None = None):
        super().__init__(session, protocol or computed_protocol())
        self.height = -1
        self.stands(-1, None)

    def mine(self, number: int, said: list[Said] | tuple[Said, ...]) -> list[Event]:  # type: ignore[override]
        events = super().mine(number, said)
        self.session.execute(
            text("INSERT INTO chain_headers VALUES (:chain, :number, :hash, :hash, :at)"),
            {"chain": CHAIN_ID, "number": number, "hash": f"{number}/{self.salt}".encode(), "at": at(number)},
        )
        self.height = number
        return events

    def fold(self, number: int, *said: Said, final: bool = True) -> None:
        """A block, folded in; blocks without events lie between it and the one before."""
        for empty in range(self.height + 1, number):
            self.mine(empty, [])
        super().fold(number, *said)
        if final:
            self.stands(number, number)

    def undo(self, from_block: int) -> None:
        super().undo(from_block)
        self.session.execute(text("DELETE FROM chain_headers WHERE number >= :number"), {"number": from_block})
        self.height = from_block - 1
        self.stands(self.height, self.height)

    def stands(self, tip: int, final: int | None, name: str | None = None) -> None:
        """How far the set is indexed, and how much of that is final."""
        self.session.execute(
            text(
                "INSERT INTO chain_cursors (chain_id, name, start_block, next_block, final_block)"
                " VALUES (:chain, :name, 0, :next, :final)"
                " ON CONFLICT (chain_id, name) DO UPDATE SET next_block = :next, final_block = :final"
            ),
            {"chain": CHAIN_ID, "name": name or self.protocol.name, "next": tip + 1, "final": final},
        )

    def price(self, when: datetime, price: int, market: int = 1, conf: int = 0) -> None:
        """Record a price of whole units; its feed is followed once its market is listed."""
        self.session.execute(
            text(
                "INSERT INTO oracle_prices (feed, publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence)"
                " VALUES (:feed, :at, :price, :conf, 0, :price, 0, 1, 1)"
            ),
            {"feed": FEEDS[market - 1].price_id, "at": when, "price": price, "conf": conf},
        )

    def settle(
        self, until: datetime, protocol: PerpsProtocol | None = None, commit: Callable[[], None] = lambda: None
    ) -> Settled:
        """A round of the job, to the end of it."""
        return settle_due(self.session, protocol or self.protocol, None, rules=RULES, until=until, commit=commit)

    def settle_clean(self, blocks: list[list[Event]], until: datetime) -> dict[str, list[dict[str, Any]]]:
        """What one who saw the blocks once has, settled at the end."""
        state_of = self.clean_state(blocks)
        assert state_of["perps_markets"] is not None
        self.stands(self.height, self.height, "clean")
        self.settle(until, replace(self.protocol, name="clean"))
        return self.state("clean")


def slot(number: int) -> datetime:
    """The number-th slot after the genesis."""
    first = GENESIS // SLOT_SECONDS * SLOT_SECONDS
    return datetime.fromtimestamp(first, UTC) + timedelta(seconds=SLOT_SECONDS * number)
