"""What /metrics tells of prices. O(feeds)."""

from __future__ import annotations

from app.core.metrics import SqlGauge

GAUGES = (
    SqlGauge(
        "watchkeeper_price_age_seconds",
        "Age of each feed's latest price",
        """
        SELECT symbol, extract(epoch FROM statement_timestamp() - publish_time) FROM oracle_feeds
        WHERE publish_time IS NOT NULL
        """,
        ("symbol",),
    ),
    SqlGauge(
        "watchkeeper_feeds_without_price",
        "Feeds that are followed and never had a price",
        "SELECT count(*) FROM oracle_feeds WHERE publish_time IS NULL",
    ),
)
