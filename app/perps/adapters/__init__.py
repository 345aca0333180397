"""What settings decide for the perps; what is outside is the oracle's and the chain's, and comes as functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.perps.maths.units import WAD
from app.perps.types.keeper import Caps

if TYPE_CHECKING:
    from config.groups import PerpsSettings


def caps_from(settings: PerpsSettings) -> Caps:
    """What a scan may do and spend."""
    return Caps(
        max_liquidations=settings.max_liquidations_per_scan,
        max_orders=settings.max_orders_per_scan,
        native_feed=settings.native_feed,
        min_profit_wad=int(settings.min_profit_usd * WAD),
        gas_ceiling=settings.gas_ceiling,
    )
