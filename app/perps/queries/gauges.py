"""What /metrics tells of the perps. O(markets + positions backed off)."""

from __future__ import annotations

from app.core.metrics import SqlGauge

GAUGES = (
    SqlGauge(
        "watchkeeper_funding_age_seconds",
        "Time since each market's funding was settled, on chain or by us",
        "SELECT protocol, market_id, extract(epoch FROM now() - last_funding_update) FROM perps_markets",
        ("protocol", "market_id"),
    ),
    SqlGauge(
        "watchkeeper_liquidations_backed_off",
        "Open positions whose liquidation failed and waits, by reason",
        "SELECT protocol, reason, count(*) FROM perps_keeper_backoffs WHERE until > now() GROUP BY protocol, reason",
        ("protocol", "reason"),
    ),
)
