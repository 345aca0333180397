"""What a trader wants to do, in our words, and the call that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from app.chain.types.calls import ContractCall
from app.oracle.types.updates import TransactionUpdate
from app.perps.types.markets import Market
from app.perps.types.positions import Side

MAX_UPDATED = 20
"""Markets in one piece of update data: a transaction that carries more is too large to be worth sending."""


class ClientAction(StrEnum):
    """The calls of a trader that a protocol's file may describe."""

    OPEN = "open"
    CLOSE = "close"
    COLLATERAL = "collateral"


# Our words for the arguments of each, besides the identities and the update data.
CLIENT_WORDS: Mapping[ClientAction, frozenset[str]] = {
    ClientAction.OPEN: frozenset({"is_long", "size", "collateral", "price_limit"}),
    ClientAction.CLOSE: frozenset({"price_limit"}),
    ClientAction.COLLATERAL: frozenset({"collateral_delta"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A trader's wish; amounts are decimals in units of their tokens. Which fields are there depends on the action.

    `price_limit`: the worst price that is taken. `collateral_delta`: below zero it is taken out.
    """

    protocol: str
    action: ClientAction
    market: str | None = None
    position: str | None = None
    side: Side | None = None
    size: Decimal | None = None
    collateral: Decimal | None = None
    price_limit: Decimal | None = None
    collateral_delta: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedUpdate:
    """Fresh update data of some markets' feeds, and what the protocol's price contract takes for it."""

    chain_id: int
    contract: bytes
    update: TransactionUpdate
    fee_wei: int
    markets: tuple[Market, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltCall:
    """An unsigned call, and until when its price is fresh enough for the contract."""

    call: ContractCall
    update: PricedUpdate
    expires_at: datetime
