"""The markets the local exchange opens with: parameters in wad, a plausible middle of what live exchanges use."""

from __future__ import annotations

from typing import NamedTuple

WAD = 10**18


class MarketParameters(NamedTuple):
    """As the contract's struct of the same name: rates are wad fractions, funding a second."""

    max_leverage: int
    maintenance_margin_rate: int
    liquidation_fee_rate: int
    open_fee_rate: int
    close_fee_rate: int
    funding_factor_per_second: int
    max_funding_rate_per_second: int
    max_price_age_seconds: int
    max_confidence_bps: int


MAJOR = MarketParameters(
    max_leverage=50 * WAD,
    maintenance_margin_rate=WAD // 100,
    liquidation_fee_rate=WAD // 200,
    open_fee_rate=WAD // 2000,
    close_fee_rate=WAD // 2000,
    funding_factor_per_second=2 * 10**10,  # 2e-8 a second when all interest is on one side: 63 % a year
    max_funding_rate_per_second=10**11,
    max_price_age_seconds=60,
    max_confidence_bps=100,
)
MINOR = MAJOR._replace(
    max_leverage=25 * WAD,
    maintenance_margin_rate=WAD * 15 // 1000,
    liquidation_fee_rate=WAD * 75 // 10_000,
    max_confidence_bps=150,
)
PARAMETERS = {"BTC-USD": MAJOR, "ETH-USD": MAJOR, "SOL-USD": MINOR}
