"""Positions: what a trader holds, where in the chain that was said, and what an event says of it.

Amounts, sizes, prices and indexes are wad (1e18) integers: sizes in units of the base token, prices and funding indexes
in quote a unit of base, collateral and payments in quote.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Side(StrEnum):
    """Which way a position wins."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for a long, -1 for a short."""
        return 1 if self is Side.LONG else -1


class PositionStatus(StrEnum):
    """Where a position is; `liquidated` is what the chain's event says, never what we sent."""

    OPEN = "open"
    CLOSED = "closed"
    LIQUIDATED = "liquidated"


@dataclass(frozen=True, slots=True)
class Holding:
    """What a position of isolated margin is worth anything by. `entry_funding_index_wad` is that of its own side: what
    a unit of the side had owed since the market's start when the position opened."""

    side: Side
    size_wad: int
    collateral_wad: int
    entry_price_wad: int
    entry_funding_index_wad: int


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an event stands in its chain; places compare in the chain's order."""

    block_number: int
    log_index: int
    block_hash: bytes
    transaction_hash: bytes
    mined_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position as the events so far have left it; one that has ended keeps what it held then.

    `realized_pnl_wad` is price profit alone, `accumulated_funding_wad` what was paid in funding (negative: earned),
    `fees_wad` what was paid in fees; each is the sum of the position's events. `net_transfers_wad` is what its owner
    has paid into it less what was taken out. `collateral_wad` and `net_transfers_wad` belong to the account under cross
    margin: None and 0 here; `entry_funding_index_wad` is None where the contract's events say what funding is paid.
    """

    protocol: str
    key: str
    market_id: str
    owner: bytes
    side: Side
    size_wad: int
    collateral_wad: int | None
    entry_price_wad: int
    entry_funding_index_wad: int | None
    exit_price_wad: int | None
    realized_pnl_wad: int
    accumulated_funding_wad: int
    fees_wad: int
    net_transfers_wad: int
    status: PositionStatus
    opened: Place
    last: Place

    @property
    def open_size_wad(self) -> int:
        """Its part of the open interest: nothing once it has ended."""
        return self.size_wad if self.status is PositionStatus.OPEN else 0

    @property
    def held_wad(self) -> int:
        """The collateral that it holds: nothing once it has ended, or under cross margin."""
        return self.collateral_wad or 0 if self.status is PositionStatus.OPEN else 0

    @property
    def net_pnl_wad(self) -> int:
        """Price profit less funding and fees, all as paid."""
        return self.realized_pnl_wad - self.accumulated_funding_wad - self.fees_wad

    @property
    def holding(self) -> Holding | None:
        """What it is worth anything by; None under cross margin."""
        if self.collateral_wad is None or self.entry_funding_index_wad is None:
            return None
        return Holding(
            self.side, self.size_wad, self.collateral_wad, self.entry_price_wad, self.entry_funding_index_wad
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidation:
    """A liquidation that the chain tells of. `fee_wad` is the liquidator's bonus; `bad_debt_wad` what the position's
    equity lacked below nothing; `insurance_paid_wad` what was taken from the insurance for both."""

    protocol: str
    key: str
    market_id: str
    owner: bytes
    side: Side
    size_wad: int
    liquidator: bytes
    price_wad: int
    fee_wad: int
    realized_pnl_wad: int
    funding_paid_wad: int
    bad_debt_wad: int
    insurance_paid_wad: int
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PnlEntry:
    """What one event did to a position, or to an account's collateral (`key` and `market_id` None).

    `transfer_wad` is what came in (negative: went out) of its owner's pocket; `covered_wad` what others bore of a loss
    that exceeded what the position held. `long_moved_wad` and `short_moved_wad` are its part in open interest. What the
    position has come to with it: `position_pnl_wad` won, `position_transfers_wad` paid in.
    """

    key: str | None
    market_id: str | None
    owner: bytes
    place: Place
    realized_pnl_wad: int = 0
    funding_paid_wad: int = 0
    fee_wad: int = 0
    transfer_wad: int = 0
    covered_wad: int = 0
    long_moved_wad: int = 0
    short_moved_wad: int = 0
    position_pnl_wad: int = 0
    position_transfers_wad: int = 0

    @property
    def is_nothing(self) -> bool:
        """Did the event move neither money nor size?"""
        paid = (self.realized_pnl_wad, self.funding_paid_wad, self.fee_wad, self.transfer_wad, self.covered_wad)
        return not any((*paid, self.long_moved_wad, self.short_moved_wad))


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold has come to: the position, None as long as nothing has opened it; its liquidations on the way, and
    what each event did.
    """

    position: Position | None
    liquidations: tuple[Liquidation, ...]
    entries: tuple[PnlEntry, ...]


@dataclass(frozen=True, slots=True)
class Prospects:
    """What an open position is worth at a price: see maths/margin.py for the roundings."""

    price_pnl_wad: int
    funding_wad: int
    equity_wad: int
    maintenance_wad: int
