"""The perps' tables: `markets` with funding, `positions` with what they are folded from and how they ended, `pnl`,
`orders`, `keeper`.

Whole numbers in wad (1e18) are exact, as the chain has them; `leverage_wad` and `trigger_key` are derived from them.
Markets, positions, orders, funding rates and liquidations are folds of `chain_events`: a reorg folds them again.
What a keeper did and waits for is kept in tables of its own, so that a fold is nothing but a fold.
"""

from app.perps.models.keeper import PerpsFundingSlot, PerpsKeeperAction, PerpsKeeperBackoff
from app.perps.models.markets import PerpsFundingRate, PerpsMarket
from app.perps.models.orders import PerpsOrder
from app.perps.models.pnl import PerpsPnlEntry
from app.perps.models.positions import PerpsFoldedEvent, PerpsLiquidation, PerpsPosition

__all__ = [
    "PerpsFoldedEvent",
    "PerpsFundingRate",
    "PerpsFundingSlot",
    "PerpsKeeperAction",
    "PerpsKeeperBackoff",
    "PerpsLiquidation",
    "PerpsMarket",
    "PerpsOrder",
    "PerpsPnlEntry",
    "PerpsPosition",
]
