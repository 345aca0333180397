"""What /metrics tells of the perps. O(markets + positions backed off)."""

from __future__ import annotations

from app.core.metrics import SqlGauge

# A block's time is in whole seconds and the chain's own: it may lie just before the broadcast.
LATENCY = """
    WITH included AS (
        SELECT * FROM perps_keeper_actions
        WHERE included_at IS NOT NULL AND broadcast_at IS NOT NULL AND detected_at > now() - interval '1 day'
        ORDER BY detected_at DESC LIMIT 1000
    ), spans AS (
        SELECT protocol, action, stage, greatest(extract(epoch FROM span), 0) AS seconds
        FROM included CROSS JOIN LATERAL (VALUES
            ('detection', detected_at - price_published_at),
            ('broadcast', broadcast_at - detected_at),
            ('inclusion', included_at - broadcast_at),
            ('total', included_at - price_published_at)
        ) AS stages (stage, span)
    )
    SELECT protocol, action, stage, quantile::text, percentile_disc(quantile) WITHIN GROUP (ORDER BY seconds)
    FROM spans CROSS JOIN (VALUES (0.5::double precision), (0.95::double precision)) AS q (quantile)
    GROUP BY protocol, action, stage, quantile
"""

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
        "SELECT protocol, reason, count(*) FROM perps_keeper_backoffs"
        " WHERE until > now() AND action = 'liquidate' GROUP BY protocol, reason",
        ("protocol", "reason"),
    ),
    SqlGauge(
        "watchkeeper_orders_backed_off",
        "Open orders whose execution failed and waits, by reason",
        "SELECT protocol, reason, count(*) FROM perps_keeper_backoffs"
        " WHERE until > now() AND action = 'execute_order' GROUP BY protocol, reason",
        ("protocol", "reason"),
    ),
    SqlGauge(
        "watchkeeper_keeper_latency_seconds",
        "Of the keeper's transactions that were included, the newest thousand of the last day: time from the price's"
        " publishing to the detection, from there to the broadcast, from there to the block, and in all",
        LATENCY,
        ("protocol", "action", "stage", "quantile"),
    ),
)
