"""The exchange's events made by hand: logs in raw words, as a node would give them, and the blocks they stand in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.queries.events import drop_events, insert_events
from app.chain.services.protocols import load_protocol
from app.chain.types.blocks import Event, Log
from app.perps.services.projection import PerpsProjection
from app.perps.services.protocols import perps_protocols
from app.perps.types.protocol import PerpsProtocol
from contracts.build import artifact
from contracts.feeds import FEEDS
from contracts.markets import MAJOR, WAD

PROTOCOL_FILE = Path(__file__).resolve().parents[2] / "config" / "protocols" / "watchkeeper_perps.toml"
CHAIN_ID = 31339
EXCHANGE = "0x" + "11" * 20
PYTH = "0x" + "22" * 20
GENESIS = 1_772_000_000
TRADER = bytes.fromhex("aa" * 20)
KEEPER = bytes.fromhex("bb" * 20)
DERIVED = (
    *("perps_markets", "perps_positions", "perps_orders", "perps_pnl_entries"),
    *("perps_folded_events", "perps_funding_rates", "perps_liquidations"),
)


@cache
def our_protocol(exchange: str = EXCHANGE, pyth: str = PYTH, *, start_block: int = 0) -> PerpsProtocol:
    """Our own exchange by its protocol file, at these addresses."""
    artifact("perp")
    values = {
        "chain_id": str(CHAIN_ID),
        "perp.address": exchange,
        "perp.block_number": str(start_block),
        "pyth.address": pyth,
    }
    (protocol,) = perps_protocols([load_protocol(PROTOCOL_FILE, values)])
    return protocol


@dataclass(frozen=True)
class Said:
    """An event to be put into a block: its name and arguments."""

    name: str
    args: Mapping[str, Any]


def market_added(market_id: int = 1, **changes: Any) -> Said:
    """The listing of a market, as the deployment makes it."""
    feed = FEEDS[(market_id - 1) % len(FEEDS)]
    named = {"symbol": feed.symbol, "base_token": feed.base, "quote_token": feed.quote, "pyth_price_id": feed.price_id}
    return Said("MarketAdded", {"market_id": market_id, **named, **MAJOR._asdict(), **changes})


def market_updated(market_id: int = 1, **changes: Any) -> Said:
    """New terms of a market."""
    return Said("MarketUpdated", {"market_id": market_id, **MAJOR._asdict(), **changes})


def opened(position_id: int, market_id: int = 1, **changes: Any) -> Said:
    """An opening."""
    values: dict[str, Any] = {
        "position_id": position_id,
        "owner": TRADER,
        "market_id": market_id,
        "is_long": True,
        "size": WAD,
        "entry_price": 1000 * WAD,
        "collateral": 100 * WAD,
        "fee": WAD // 2,
        "entry_funding_index": 0,
        "price_publish_time": GENESIS,
    }
    return Said("PositionOpened", values | changes)


def collateral_changed(position_id: int, collateral: int, market_id: int = 1) -> Said:
    """A change of collateral; `collateral` is what it is afterwards."""
    values = {"position_id": position_id, "owner": TRADER, "market_id": market_id, "delta": 0, "collateral": collateral}
    return Said("CollateralChanged", values)


def closed(position_id: int, market_id: int = 1, **changes: Any) -> Said:
    """A closing."""
    values: dict[str, Any] = {
        "position_id": position_id,
        "owner": TRADER,
        "market_id": market_id,
        "is_long": True,
        "exit_price": 1100 * WAD,
        "size": WAD,
        "realized_pnl": 100 * WAD,
        "funding_paid": 3 * WAD,
        "fee": WAD,
        "payout": 196 * WAD,
    }
    return Said("PositionClosed", values | changes)


def increased(position_id: int, market_id: int = 1, **changes: Any) -> Said:
    """An order has added to a position; size, collateral and entry are what they are afterwards."""
    values: dict[str, Any] = {
        "position_id": position_id,
        "owner": TRADER,
        "market_id": market_id,
        "is_long": True,
        "price": 1010 * WAD,
        "size": 2 * WAD,
        "collateral": 200 * WAD,
        "entry_price": 1005 * WAD,
        "entry_funding_index": WAD,
        "fee": WAD,
    }
    return Said("PositionIncreased", values | changes)


def decreased(position_id: int, market_id: int = 1, **changes: Any) -> Said:
    """A part of a position is closed; size and collateral are the part's."""
    values: dict[str, Any] = {
        "position_id": position_id,
        "owner": TRADER,
        "market_id": market_id,
        "is_long": True,
        "exit_price": 1100 * WAD,
        "size": WAD // 4,
        "collateral": 25 * WAD,
        "realized_pnl": 25 * WAD,
        "funding_paid": WAD,
        "fee": WAD,
        "payout": 48 * WAD,
    }
    return Said("PositionDecreased", values | changes)


def order_placed(order_id: int, market_id: int = 1, **changes: Any) -> Said:
    """An order: a stop-loss of the position with its number."""
    values: dict[str, Any] = {
        "order_id": order_id,
        "owner": TRADER,
        "market_id": market_id,
        "kind": 2,
        "is_long": True,
        "position_id": order_id,
        "size": WAD,
        "collateral": 0,
        "trigger_price": 950 * WAD,
        "acceptable_price": 0,
        "execution_fee": 2 * WAD,
        "expires_at": 0,
    }
    return Said("OrderPlaced", values | changes)


def order_cancelled(order_id: int, market_id: int = 1) -> Said:
    """An order is taken back."""
    return Said("OrderCancelled", {"order_id": order_id, "owner": TRADER, "market_id": market_id})


def order_executed(order_id: int, market_id: int = 1, **changes: Any) -> Said:
    """An order's price has come."""
    values: dict[str, Any] = {
        "order_id": order_id,
        "owner": TRADER,
        "market_id": market_id,
        "position_id": order_id,
        "keeper": KEEPER,
        "price": 949 * WAD,
        "size": WAD,
        "execution_fee": 2 * WAD,
    }
    return Said("OrderExecuted", values | changes)


def liquidated(position_id: int, market_id: int = 1, **changes: Any) -> Said:
    """A liquidation."""
    values: dict[str, Any] = {
        "position_id": position_id,
        "owner": TRADER,
        "market_id": market_id,
        "liquidator": KEEPER,
        "is_long": True,
        "price": 905 * WAD,
        "size": WAD,
        "liquidation_fee": 4 * WAD,
        "funding_paid": 2 * WAD,
        "realized_pnl": -95 * WAD,
        "bad_debt": 0,
        "insurance_paid": WAD,
        "returned_to_owner": 0,
    }
    return Said("PositionLiquidated", values | changes)


def funding_settled(market_id: int, settled_at: int, **changes: Any) -> Said:
    """A settlement of funding."""
    values: dict[str, Any] = {
        "market_id": market_id,
        "rate_per_second": 10**10,
        "long_funding_index": 5 * WAD,
        "short_funding_index": -5 * WAD,
        "long_open_interest": WAD,
        "short_open_interest": WAD,
        "price": 1000 * WAD,
        "elapsed_seconds": 12,
        "settled_at": settled_at,
    }
    return Said("FundingSettled", values | changes)


class History:
    """A chain of blocks in `chain_events`, and the projections that follow it; nothing is committed."""

    def __init__(self, session: Session, protocol: PerpsProtocol):
        self.session = session
        self.protocol = protocol
        self.projection = PerpsProjection(protocol)
        self.salt = 0

    def mine(self, number: int, said: Sequence[Said]) -> list[Event]:
        """Put a block of these events into `chain_events`; they are not folded in yet."""
        block_hash = hashlib.sha256(f"{number}/{self.salt}".encode()).digest()
        logs = [self._log(number, block_hash, index, one) for index, one in enumerate(said)]
        insert_events(self.session, CHAIN_ID, logs, {number: GENESIS + 12 * number}, {})
        return [self._event(log) for log in logs]

    def fold(self, number: int, *said: Said) -> None:
        """Mine a block and fold it in."""
        self.projection.apply(self.session, self.mine(number, said))

    def undo(self, from_block: int) -> None:
        """A reorg: what comes next has other hashes."""
        self.salt += 1
        drop_events(self.session, CHAIN_ID, from_block)
        self.projection.rollback(self.session, CHAIN_ID, from_block)

    def rows(self, table: str, protocol: str | None = None) -> list[dict[str, Any]]:
        """A table's rows without their protocol, sorted."""
        found = self.session.execute(
            text(f"SELECT * FROM {table} WHERE protocol = :name"),  # noqa: S608
            {"name": protocol or self.protocol.name},
        )
        plain = [
            {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()}
            for row in found.mappings()
        ]
        for row in plain:
            del row["protocol"]
        return sorted(plain, key=lambda row: [str(value) for value in row.values()])

    def state(self, protocol: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """Everything that must equal a clean fold."""
        return {table: self.rows(table, protocol) for table in DERIVED}

    def clean_state(self, blocks: Sequence[Sequence[Event]]) -> dict[str, list[dict[str, Any]]]:
        """The same of a fold that has seen these blocks once, in order, and nothing else."""
        other = PerpsProjection(replace(self.protocol, name="clean"))
        for events in blocks:
            other.apply(self.session, events)
        return self.state("clean")

    def _log(self, number: int, block_hash: bytes, index: int, said: Said) -> Log:
        (entry,) = [
            one for one in self.protocol.contracts["perp"].abi if one["type"] == "event" and one["name"] == said.name
        ]
        inputs = entry["inputs"]
        signature = f"{said.name}({','.join(one['type'] for one in inputs)})"
        indexed = [encode([one["type"]], [said.args[one["name"]]]) for one in inputs if one["indexed"]]
        plain = [one for one in inputs if not one["indexed"]]
        return Log(
            block_number=number,
            block_hash=block_hash,
            log_index=index,
            transaction_hash=hashlib.sha256(block_hash + index.to_bytes(4, "big")).digest(),
            transaction_index=index,
            address=self.protocol.contracts["perp"].addresses[0],
            topics=(keccak(text=signature), *indexed),
            data=encode([one["type"] for one in plain], [said.args[one["name"]] for one in plain]),
        )

    def _event(self, log: Log) -> Event:
        watched = self.protocol.contract_set.watched[log.address, log.topics[0]]
        mined_at = datetime.fromtimestamp(GENESIS + 12 * log.block_number, UTC)
        return Event(log, mined_at, watched.contract, watched.name, watched.decode(log))
